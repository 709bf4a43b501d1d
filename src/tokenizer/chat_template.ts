import type { Chat } from '../api/types/index.ts';
import { EdgeError, messageOf, requireArgument } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { TemplateLimit } from './jinja/limits.ts';
import { type ParsedTemplate, parseTemplate, runTemplate, TemplateRefusal } from './template_runner.ts';

const SPECIAL = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

/** The chat templates of a model, as transformers' `apply_chat_template` takes them. */
export class ChatTemplates {
  private readonly byName: ReadonlyMap<string, string>;
  private readonly special: Readonly<Record<string, string>>; // bos_token and the like
  private parsed: { source: string; template: ParsedTemplate } | null = null; // the last one

  /** `config` is tokenizer_config.json: its `chat_template` is a template, or a list of `{ name, template }`. */
  constructor(
    private readonly model: string, // for messages: 'of …'
    config: JsonObject,
  ) {
    this.byName = readTemplates(model, config.chat_template);
    this.special = Object.fromEntries(
      SPECIAL.flatMap((name) => {
        const token = textOf(config[name]);
        return token === null ? [] : [[name, token]];
      }),
    );
  }

  get size(): number {
    return this.byName.size;
  }

  /** The special tokens that templates are given by names. */
  get tokens(): readonly string[] {
    return Object.values(this.special);
  }

  /**
   * The text of a conversation. Special tokens are written out in it, bos among them where the template has it.
   * @throws NO_CHAT_TEMPLATE, INVALID_ARGUMENT for messages that are none or that the template refuses, INVALID_FILE for
   *   a template that can't be read or that goes beyond TEMPLATE_LIMITS
   */
  render({ messages, addGenerationPrompt = false, template, tools, variables = {} }: Chat): string {
    checkMessages(messages);
    requireArgument(template === undefined || typeof template === 'string', 'template must be a string');
    const source = this.choose(template, tools !== undefined);
    const documents = null;
    const call = { messages, tools: tools ?? null, add_generation_prompt: addGenerationPrompt };
    try {
      if (this.parsed?.source !== source) this.parsed = { source, template: parseTemplate(source) };
      return runTemplate(this.parsed.template, { documents, ...this.special, ...variables, ...call });
    } catch (cause) {
      throw explain(template === source ? 'given' : this.model, cause);
    }
  }

  private choose(template: string | undefined, withTools: boolean): string {
    const { byName } = this;
    const preferred = withTools && byName.has('tool_use') ? 'tool_use' : 'default';
    const found = byName.get(template ?? preferred);
    if (found !== undefined) return found;
    if (template?.includes('{')) return template;
    const wanted = `'${template ?? preferred}'`;
    const names = [...byName.keys()].map((name) => `'${name}'`).join(', ');
    throw new EdgeError(
      'NO_CHAT_TEMPLATE',
      byName.size > 0
        ? `The model has chat templates ${names}, but no ${wanted}: name one of them as \`template\``
        : 'The model has no chat template: expected one in chat_template.jinja, tokenizer_config.json or the metadata ' +
            'of a GGUF file. Give a Jinja template as `template`, or a prompt as text',
    );
  }
}

function readTemplates(model: string, value: JsonValue | undefined): ReadonlyMap<string, string> {
  if (value === undefined || value === null) return new Map();
  if (typeof value === 'string') return new Map([['default', value]]);
  const entries = Array.isArray(value) ? value : [value];
  return new Map(
    entries.map((entry): [string, string] => {
      const { name, template } = (typeof entry === 'object' && entry !== null ? entry : {}) as JsonObject;
      if (typeof name === 'string' && typeof template === 'string') return [name, template];
      throw new EdgeError(
        'INVALID_FILE',
        `The tokenizer ${model}: expected chat_template to be a text, or a list of objects with name and template`,
      );
    }),
  );
}

/** A token as tokenizer_config.json has it: text, or an AddedToken. */
function textOf(token: JsonValue | undefined): string | null {
  if (typeof token === 'string') return token;
  const content = typeof token === 'object' && token !== null && !Array.isArray(token) ? token.content : null;
  return typeof content === 'string' ? content : null;
}

function checkMessages(messages: unknown): void {
  requireArgument(Array.isArray(messages), 'messages must be a list of { role, content }');
  for (const [i, message] of messages.entries())
    requireArgument(
      typeof message === 'object' && message !== null && typeof message.role === 'string',
      `Message ${i} must be an object with a role and a content`,
    );
}

function explain(which: string, cause: unknown): EdgeError {
  if (cause instanceof TemplateRefusal)
    return new EdgeError('INVALID_ARGUMENT', `The chat template ${which} refuses: ${cause.message}`, {
      cause,
    });
  const message = messageOf(cause);
  const fault = cause instanceof TemplateLimit ? 'goes too far' : 'fails';
  return new EdgeError('INVALID_FILE', `The chat template ${which} ${fault}: ${message}`, { cause });
}
