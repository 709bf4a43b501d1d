import type { Generation } from '../api/generation.ts';
import type { Model } from '../api/model.ts';
import type { Session } from '../api/session.ts';
import type { ChatMessage, GenerationOptions } from '../api/types/index.ts';
import { EdgeError, requireArgument } from '../errors.ts';
import { writeFileAtomic } from '../runtime/node.ts';
import { readText } from './text.ts';

/** A conversation at the terminal. */
export type Talk = TextTalk | MessageTalk;

/** Lines that follow each other as text, in a session. */
export class TextTalk {
  constructor(
    private readonly model: Model,
    private session: Session,
  ) {}

  get position(): number {
    return this.session.position;
  }

  /** How much there is of it, in words. */
  get size(): string {
    return `${this.position} tokens`;
  }

  /** The reply to a line; what comes of it goes to `keep`, unless it fails. */
  reply(line: string, options: GenerationOptions): Generation {
    return this.session.generate(line, options);
  }

  keep(_line: string, _reply: string): void {}

  /** Takes the last turn back, and says what that was. */
  async undo(): Promise<string> {
    const before = this.position;
    const after = await this.session.rewind({ turn: -1 });
    return `the last turn, ${before - after} tokens; ${after} are left`;
  }

  async reset(): Promise<void> {
    await this.session.reset();
  }

  async fork(): Promise<TextTalk> {
    return new TextTalk(this.model, await this.session.fork());
  }

  async save(file: string): Promise<void> {
    await this.session.saveTo(file);
  }

  async load(file: string): Promise<void> {
    const loaded = await this.model.session({ from: file });
    await this.session.close();
    this.session = loaded;
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

/** Messages, by the model's chat template. They are all there is to it: the session follows them. */
export class MessageTalk {
  constructor(
    private readonly model: Model,
    private readonly session: Session,
    private readonly system: string | undefined,
    private messages: readonly ChatMessage[] = begin(system),
  ) {}

  get position(): number {
    return this.session.position;
  }

  reply(line: string, options: GenerationOptions): Generation {
    return this.session.generate({ messages: [...this.messages, { role: 'user', content: line }] }, options);
  }

  get size(): string {
    return `${this.messages.length} messages`;
  }

  keep(line: string, reply: string): void {
    const turn = [
      { role: 'user', content: line },
      { role: 'assistant', content: reply },
    ];
    this.messages = [...this.messages, ...turn];
  }

  async undo(): Promise<string> {
    const last = this.messages.findLastIndex(({ role }) => role === 'user');
    requireArgument(last >= 0, 'There is no turn to take back');
    const line = this.messages[last]!.content;
    this.messages = this.messages.slice(0, last);
    return `'${line}' and its reply; ${this.size} are left`;
  }

  async reset(): Promise<void> {
    await this.session.reset();
    this.messages = begin(this.system);
  }

  async fork(): Promise<MessageTalk> {
    return new MessageTalk(this.model, await this.session.fork(), this.system, this.messages);
  }

  async save(file: string): Promise<void> {
    await writeFileAtomic(file, [new TextEncoder().encode(`${JSON.stringify(this.messages, null, 1)}\n`)]);
  }

  async load(file: string): Promise<void> {
    const text = await readText(file);
    try {
      const messages = JSON.parse(text) as ChatMessage[];
      await this.model.applyChatTemplate(messages);
      this.messages = messages;
    } catch (cause) {
      throw new EdgeError(
        'INVALID_FILE',
        `${file}: expected the messages of a conversation, as /save writes`,
        {
          cause,
        },
      );
    }
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

function begin(system: string | undefined): ChatMessage[] {
  return system === undefined ? [] : [{ role: 'system', content: system }];
}
