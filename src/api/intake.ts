import { EdgeError } from '../errors.ts';
import { Feed, PIECE } from './feed.ts';
import { type Ends, onFirstEnd } from './lifetime.ts';
import type { PromptStream } from './types/index.ts';

type Piece = string | Int32Array;

/** Characters of what waits that an abort still consumes. */
const TAIL = 1024;

/**
 * A stream on its way into a session: what comes is consumed at once, and what comes meanwhile is gathered up, so that
 * a fast stream goes in large pieces. Whatever ends it, nothing waits for a stream that is quiet.
 */
export class Intake {
  readonly #source: AsyncIterator<Piece | readonly number[]>;
  readonly #consume: (piece: Piece, signal: AbortSignal | undefined) => Promise<void>;
  readonly #feed = new Feed();
  #consuming: Piece | null = null;
  #over: { error: unknown } | 'done' | null = null; // the stream
  #end: EdgeError | null = null; // what came first
  #short = false; // what is there makes no piece without what follows
  #waiting: (() => void)[] = [];

  constructor(
    stream: PromptStream,
    consume: (piece: Piece, signal: AbortSignal | undefined) => Promise<void>,
  ) {
    this.#source = stream[Symbol.asyncIterator]();
    this.#consume = consume;
  }

  /** Resolves when all is consumed. @throws what ended it before: an EdgeError with `unconsumed`, or the stream's own */
  async run(ends: Ends): Promise<void> {
    const stop = onFirstEnd(ends, (end) => {
      this.#end = end;
      this.#notify();
    });
    void this.#read();
    try {
      await this.#consumeAll(ends.signal);
    } catch (error) {
      throw error instanceof EdgeError ? this.#withRest(error) : error;
    } finally {
      stop();
      this.#leave();
    }
  }

  /** Asks the stream for more as long as there is room, or too little for a piece. */
  async #read(): Promise<void> {
    try {
      while (!this.#over && !this.#end) {
        const { value, done } = await this.#source.next();
        if (this.#over) return;
        if (done) this.#over = 'done';
        else this.#push(value);
        this.#notify();
        while (this.#feed.size >= PIECE && !this.#short && !this.#over && !this.#end) await this.#news();
      }
    } catch (error) {
      this.#over ??= { error };
      this.#notify();
    }
  }

  #push(part: Piece | readonly number[]): void {
    this.#short = false;
    try {
      this.#feed.push(part);
    } catch (error) {
      this.#return();
      throw error;
    }
  }

  async #consumeAll(signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      const piece = this.#feed.take();
      if (piece !== null) await this.#take(piece, signal);
      else if (this.#over) break;
      else if (!this.#end) await this.#more();
      if (!this.#end) continue;
      const quiet = piece === null && this.#feed.size <= TAIL;
      if (quiet && this.#end.code === 'ABORTED') await this.#takeRest();
      throw this.#end;
    }
    await this.#takeRest(signal);
    if (this.#over !== 'done') throw this.#over.error;
  }

  /** What no cut was found in. */
  async #takeRest(signal?: AbortSignal): Promise<void> {
    for (const piece of this.#feed.flush()) await this.#take(piece, signal);
  }

  async #take(piece: Piece, signal: AbortSignal | undefined): Promise<void> {
    this.#consuming = piece;
    this.#notify(); // there is room again
    await this.#consume(piece, signal);
    this.#consuming = null;
  }

  /** The stream is told, if it was left; it may be too quiet to hear it. */
  #leave(): void {
    if (this.#over) return;
    this.#over = 'done';
    this.#notify();
    this.#return();
  }

  #return(): void {
    const told = async () => this.#source.return?.();
    told().catch(() => {});
  }

  #withRest(error: EdgeError): EdgeError {
    const told = new EdgeError(error.code, error.message, { cause: error.cause });
    const piece = this.#consuming === null ? [] : [this.#consuming];
    told.unconsumed = [...piece, ...this.#feed.flush()];
    return told;
  }

  /** The stream's next part, whatever waits already. */
  #more(): Promise<void> {
    this.#short = true;
    this.#notify();
    return this.#news();
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #notify(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
