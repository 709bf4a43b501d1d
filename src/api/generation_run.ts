import type { Burst, Handle } from '../engine/types.ts';
import { EdgeError, requireArgument, show } from '../errors.ts';
import { readCallOptions } from './call_options.ts';
import type { EngineClient } from './client.ts';
import { type Ends, type Lifetime, onFirstEnd } from './lifetime.ts';
import type { GenerateOptions, GenerateResult, GenerationOptions, Prompt, Token } from './types/index.ts';

/** The id of a last piece of text that has no token of its own: what a possible stop string had held back. */
const NO_TOKEN = -1;

/**
 * The session that a generation continues.
 * @internal
 */
export interface Continued {
  handle: Handle;
  /** Ends with `close`. */
  life: Lifetime;
  /** Learns the position anew. */
  refresh(): Promise<void>;
}

type Facts = Omit<GenerateResult, 'text' | 'tokens'>;

/** How it ended. What was `left` is done, for who left it; result() rejects all the same. */
type Outcome = { facts: Facts } | { error: unknown; left: boolean };

/** A generation as it runs: who takes its tokens, one at a time, is Generation's business. */
export class GenerationRun {
  readonly #client: EngineClient;
  readonly #session: Continued | null;
  readonly #prompt: Prompt;
  readonly #options: GenerateOptions;
  readonly #ends: Ends;
  readonly #caller = new Error(); // where `generate` was called
  #handle: Handle | null = null; // in the engine, once it was started there
  #starting: Promise<void> = Promise.resolve();
  #burst: Token[] = [];
  #at = 0; // of the burst's next token
  #last: Burst['end'] = null;
  #delivered = 0;
  #kept: { tokens: Token[]; text: string } | null; // null: nobody asked
  #turn: Promise<unknown> | null = null; // the next() that waits, and those behind it
  #asking: object | null = null; // who waits for it, and is not dropped as long
  #first: Promise<IteratorResult<Token, void>> | null = null; // what result() asked for, until somebody took it
  #overtaken = false; // by a loop that began after result() had
  #interrupt: (() => void) | null = null; // ends what it waits for
  #outcome: Outcome | null = null;
  #told = false; // an error is thrown once
  #ended: Promise<void> | null = null; // resolves when the engine knows
  #listeners: (() => void)[] = [];

  constructor(
    client: EngineClient,
    session: Continued | null,
    prompt: Prompt,
    options: GenerationOptions | undefined,
  ) {
    const { signal, collect = false, ...rest } = readCallOptions('generate', options);
    requireArgument(typeof collect === 'boolean', `collect must be true or false, found ${show(collect)}`);
    this.#client = client;
    this.#session = session;
    this.#prompt = prompt;
    this.#options = rest;
    this.#ends = { signal, lives: session ? [client.life, session.life] : [client.life] };
    this.#kept = collect ? { tokens: [], text: '' } : null;
  }

  /** Hears from now on what ends it, whether somebody asks for a token or not. */
  listen(): void {
    this.onEnd(onFirstEnd(this.#ends, (error) => this.#end({ error, left: false })));
  }

  onEnd(listener: () => void): void {
    if (this.#outcome) listener();
    else this.#listeners.push(listener);
  }

  next(asking: object): Promise<IteratorResult<Token, void>> {
    if (this.#overtaken && this.#first) {
      const first = this.#first;
      this.#first = null;
      return first;
    }
    if (!this.#turn && !this.#outcome && this.#at < this.#burst.length)
      return Promise.resolve({ done: false, value: this.#take() });
    const step = () => this.#step();
    const turn = this.#turn ? this.#turn.then(step, step) : step();
    this.#turn = turn;
    this.#asking = asking;
    const over = () => {
      if (this.#turn === turn) this.#turn = this.#asking = null;
    };
    turn.then(over, over);
    return turn;
  }

  /** Takes all tokens, for the result, unless a loop takes over. */
  async drain(): Promise<void> {
    this.listen();
    try {
      this.#first = this.next(this);
      let { done } = await this.#first;
      while (!done && !this.#overtaken) ({ done } = await this.next(this));
    } catch {} // result() tells
  }

  /** A loop takes the tokens that result() began with; false if that has taken one. */
  takeOver(): boolean {
    this.#overtaken ||= this.#first !== null && this.#delivered === 0;
    return this.#overtaken;
  }

  async leave(): Promise<void> {
    const error = new EdgeError('ABORTED', `The generation was left after ${this.#delivered} tokens`);
    this.#end({ error, left: true });
    await this.#ended;
  }

  drop(): void {
    const message = `The iterator of this generation was dropped after ${this.#delivered} tokens`;
    this.#end({ error: new EdgeError('ABORTED', message), left: true });
  }

  async result(): Promise<GenerateResult> {
    if (this.#delivered === 0) this.#kept ??= { tokens: [], text: '' };
    if (!this.#outcome) await new Promise<void>((resolve) => this.onEnd(resolve));
    await this.#ended;
    const outcome = this.#outcome!;
    if ('error' in outcome) throw outcome.error;
    return this.#kept ? { ...outcome.facts, ...this.#kept } : withoutTokens(outcome.facts);
  }

  async #step(): Promise<IteratorResult<Token, void>> {
    try {
      while (!this.#outcome && this.#at === this.#burst.length) {
        if (this.#last) return await this.#finish(this.#last);
        await this.#fetch();
      }
    } catch (error) {
      this.#end({ error, left: false });
    }
    if (!this.#outcome) return { done: false, value: this.#take() };
    await this.#ended;
    if (!('error' in this.#outcome) || this.#outcome.left || this.#told)
      return { done: true, value: undefined };
    this.#told = true;
    throw this.#outcome.error;
  }

  #take(): Token {
    const token = this.#burst[this.#at]!;
    this.#at += 1;
    this.#delivered += 1;
    if (this.#kept) {
      this.#kept.tokens.push(token);
      this.#kept.text += token.text;
    }
    return token;
  }

  async #finish({ text, ...facts }: NonNullable<Burst['end']>): Promise<IteratorResult<Token, void>> {
    if (this.#kept) this.#kept.text += text;
    this.#end({ facts });
    await this.#ended;
    return text === '' ? { done: true, value: undefined } : { done: false, value: { id: NO_TOKEN, text } };
  }

  /** The next burst; returns without it when the generation ends first. */
  async #fetch(): Promise<void> {
    if (this.#handle === null) {
      const handle = this.#client.handle();
      this.#handle = handle;
      this.#starting = this.#client.call(
        (engine) =>
          engine.startGeneration(handle, this.#session?.handle ?? null, this.#prompt, this.#options),
        this.#caller,
      );
      await this.#unlessEnded(this.#starting);
      if (this.#outcome) return;
    }
    const handle = this.#handle;
    const burst = await this.#unlessEnded(
      this.#client.call((engine) => engine.nextBurst(handle), this.#caller),
    );
    if (!burst) return;
    this.#burst = burst.tokens;
    this.#at = 0;
    this.#last = burst.end;
  }

  #unlessEnded<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise<T | undefined>((resolve, reject) => {
      this.#interrupt = () => resolve(undefined);
      promise.then(resolve, reject);
    });
  }

  #end(outcome: Outcome): void {
    if (this.#outcome) return;
    this.#outcome = outcome;
    this.#ended = this.#tellEngine(outcome);
    this.#interrupt?.();
    for (const listener of this.#listeners.splice(0)) listener();
  }

  /** What makes this fail (a dead worker, a disposed model) is what ended the generation, or shows on the next call. */
  async #tellEngine(outcome: Outcome): Promise<void> {
    const [handle, delivered] = [this.#handle, this.#delivered];
    if ('error' in outcome && handle !== null) {
      const call = this.#client.call((engine) => engine.abort(handle));
      await Promise.allSettled([call, this.#starting]);
      await this.#client.call((engine) => engine.stopGeneration(handle, delivered)).catch(() => {});
    }
    await this.#session?.refresh();
  }
}

/** What is known where nobody asked for the tokens in time: reading them says so. */
function withoutTokens(facts: Facts): GenerateResult {
  const get = (): never => {
    throw new EdgeError(
      'INVALID_ARGUMENT',
      'The tokens of this generation were not kept: ask for result() before its loop takes the first one, or generate ' +
        'with collect: true',
    );
  };
  return Object.defineProperties({ ...facts } as GenerateResult, { text: { get }, tokens: { get } });
}
