import { expect } from 'vitest';
import type { Backend } from '../../src/backends/types.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { loadEngine } from '../../src/engine/load.ts';
import type { LoadEngineOptions } from '../../src/engine/types.ts';
import { EdgeError } from '../../src/errors.ts';
import { generate, handle, ids, open, take } from '../engine/drive.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';
import type { Random } from '../helpers/random.ts';

export function loadFixtureEngine(
  name: string,
  backend: Backend,
  options: LoadEngineOptions = {},
): Promise<Engine> {
  return loadEngine(fixtureFolder(name), { threads: 1, chunk: 16, ...options }, { backends: [backend] });
}

/** A conversation and what it must be: its tokens, and where its turns began. */
interface Talk {
  session: number;
  ids: number[];
  turns: number[];
}

/** What one session holds, as bytes. */
export const snapshot = (engine: Engine, session: number) => engine.saveSession(session, 'f32');

/** Holds a session to one of another engine that was given the same tokens from scratch. */
export type Agreement = (engine: Engine, session: number, fresh: Engine, replayed: number) => Promise<void>;

const sameBits: Agreement = async (engine, session, fresh, replayed) => {
  const [found, expected] = [await snapshot(engine, session), await snapshot(fresh, replayed)];
  expect(Buffer.compare(found, expected)).toBe(0);
};

/** Random operations on a few conversations, each compared with a replay of its tokens from scratch. */
export class Exercise {
  private readonly talks: Talk[] = [];
  readonly done: Record<string, number> = {};

  constructor(
    private readonly engine: Engine,
    private readonly fresh: Engine,
    private readonly random: Random,
    private readonly most: number, // conversations at once
    private readonly agree: Agreement = sameBits,
  ) {}

  async run(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const talk = this.talks[this.random.below(this.talks.length)];
      const name = await (talk && this.random.uniform() > 0.1 ? this.change(talk) : this.open());
      this.done[name] = (this.done[name] ?? 0) + 1;
      if (talk && this.talks.includes(talk) && this.random.below(4) === 0) await this.compare(talk);
    }
    for (const talk of this.talks) await this.compare(talk);
    for (const { session } of this.talks.splice(0)) await this.engine.closeSession(session);
  }

  private async open(): Promise<string> {
    if (this.talks.length === this.most) return this.close(this.talks[0]!);
    this.talks.push({ session: await open(this.engine), ids: [], turns: [] });
    return 'open';
  }

  private async close(talk: Talk): Promise<string> {
    this.talks.splice(this.talks.indexOf(talk), 1);
    await this.engine.closeSession(talk.session);
    return 'close';
  }

  private change(talk: Talk): Promise<string> {
    const draw = this.random.uniform();
    if (talk.ids.length > 700) return this.close(talk);
    if (draw < 0.25) return this.append(talk);
    if (draw < 0.4) return this.generate(talk, false);
    if (draw < 0.55) return this.generate(talk, true);
    if (draw < 0.65) return this.fork(talk);
    if (draw < 0.8) return this.rewind(talk);
    if (draw < 0.9) return this.rewindTurn(talk);
    if (draw < 0.95) return this.saveAndRestore(talk);
    return this.reset(talk);
  }

  /** A fresh conversation's begins like others, so that prefixes are shared. */
  private prompt({ ids }: Talk): number[] {
    const { vocabSize } = this.engine.info;
    const first = this.random.below(3);
    const common = ids.length === 0 ? this.random.below(60) : 0;
    const length = common + this.random.below(this.random.below(4) === 0 ? 100 : 20);
    return Array.from({ length }, (_, i) =>
      i < common ? (first * 17 + i * 3) % vocabSize : this.random.below(vocabSize),
    );
  }

  private async append(talk: Talk): Promise<string> {
    const prompt = this.prompt(talk);
    await this.engine.append(talk.session, prompt, handle());
    if (prompt.length > 0) talk.turns.push(talk.ids.length);
    talk.ids.push(...prompt);
    return 'append';
  }

  private async generate(talk: Talk, leaves: boolean): Promise<string> {
    const prompt = talk.ids.length === 0 || this.random.below(2) === 0 ? [1, ...this.prompt(talk)] : [];
    const maxTokens = 1 + this.random.below(12);
    const options = { maxTokens, temperature: 1, seed: 7, repetitionPenalty: 1.2, ignoreEos: true };
    const tokens = leaves
      ? await take(this.engine, talk.session, prompt, 1 + this.random.below(maxTokens), options)
      : (await generate(this.engine, talk.session, prompt, options)).tokens;
    talk.turns.push(talk.ids.length);
    talk.ids.push(...prompt, ...ids(tokens));
    return leaves ? 'leave' : 'generate';
  }

  private async fork(talk: Talk): Promise<string> {
    if (this.talks.length === this.most) return this.close(this.talks.find((other) => other !== talk)!);
    const session = handle();
    await this.engine.forkSession(talk.session, session);
    this.talks.push({ ...talk, session, ids: talk.ids.slice(), turns: talk.turns.slice() });
    return 'fork';
  }

  private async rewind(talk: Talk): Promise<string> {
    const position = this.engine.position(talk.session);
    const target = this.random.below(position + 1);
    return this.back(talk, { position: target }, target === 0 ? 0 : target + 1);
  }

  private async rewindTurn(talk: Talk): Promise<string> {
    if (talk.turns.length === 0) return this.append(talk);
    const turn = this.random.below(talk.turns.length);
    const target = this.random.below(2) === 0 ? turn : turn - talk.turns.length;
    return this.back(talk, { turn: target }, talk.turns[turn]!);
  }

  private async back(talk: Talk, target: Parameters<Engine['rewind']>[1], length: number): Promise<string> {
    try {
      expect(await this.engine.rewind(talk.session, target, handle())).toBe(Math.max(0, length - 1));
    } catch (error) {
      if (!(error instanceof EdgeError) || error.code !== 'POSITION_UNAVAILABLE') throw error;
      const earliest = Number(/the earliest that is left is (\d+)/.exec(error.message)![1]);
      expect(earliest).toBeGreaterThan(length - 1);
      await this.engine.rewind(talk.session, { position: earliest }, handle()); // which there is, as it said
      this.cut(talk, earliest + 1);
      return 'unavailable';
    }
    this.cut(talk, length);
    return 'position' in target ? 'rewind' : 'rewind turn';
  }

  private cut(talk: Talk, length: number): void {
    talk.ids.length = Math.min(talk.ids.length, length);
    talk.turns = talk.turns.filter((begin) => begin < length);
  }

  private async saveAndRestore(talk: Talk): Promise<string> {
    const bytes = await snapshot(this.engine, talk.session);
    await this.engine.closeSession(talk.session);
    talk.session = handle();
    await this.engine.restoreSession(talk.session, bytes, {});
    talk.turns = [];
    return 'save, close, restore';
  }

  private async reset(talk: Talk): Promise<string> {
    await this.engine.resetSession(talk.session);
    Object.assign(talk, { ids: [], turns: [] });
    return 'reset';
  }

  private async compare(talk: Talk): Promise<void> {
    expect(this.engine.position(talk.session)).toBe(Math.max(0, talk.ids.length - 1));
    const replayed = await open(this.fresh);
    await this.fresh.append(replayed, talk.ids, handle());
    await this.agree(this.engine, talk.session, this.fresh, replayed);
    await this.fresh.closeSession(replayed);
    this.done.compared = (this.done.compared ?? 0) + 1;
  }
}
