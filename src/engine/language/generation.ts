import { EdgeError, requireArgument } from '../../errors.ts';
import type { Sampled } from '../../ops/sample.ts';
import type { Tokenizer } from '../../tokenizer/index.ts';
import { Call } from '../core/call.ts';
import type { Burst, FinishReason, Token } from '../types.ts';
import type { Settings } from './options.ts';
import { type Encoding, encode } from './prompt.ts';
import type { Seat } from './seat.ts';
import type { Session } from './session.ts';
import { Transcript } from './text.ts';
import type { UndoPoint } from './undo_point.ts';

/** A burst is sent when it is this old, or has this many tokens. */
const BURST_MS = 40;
const BURST_TOKENS = 64;

const NO_IDS = new Int32Array(0);
const NO_RECENT = NO_IDS;

export interface GenerationParts {
  seat: Seat;
  session: Session | null; // null: the sequence is the generation's own
  encoding: Encoding; // of the prompt
  firstIds: () => Int32Array; // what a sequence starts from without one
  whole: boolean; // is it the conversation from its beginning?
  settings: Settings;
  tokenizer: Tokenizer | null;
  eos: readonly number[];
  vocabSize: number;
  /** Called once, when nothing more will be asked of it. */
  conclude(): void;
}

/**
 * One text being generated, in bursts. The first is the prompt and one token, so that it is there early.
 * A session can go back to any token of the burst that was sent last: its state before that burst is set aside.
 * Asking for the next burst says that all tokens of the last were taken. Before the first is asked for it holds nothing.
 */
export class Generation {
  private readonly call = new Call();
  private readonly transcript: Transcript;
  private promptTokens = 0;
  private running: Promise<Burst> | null = null;
  private concluded = false;
  private started = false;
  private cached = 0; // tokens of the prompt that needed no prefill
  private count = 0; // tokens sampled and sent, eos and stop tokens aside
  private before: UndoPoint | null = null; // the state before the burst sent last
  private followed: number[] = []; // the tokens of that burst, and the one that ended it, if one did
  private beyond = false; // is there one that did?
  private ending: { reason: FinishReason; stop: string | number | null } | null = null;
  private readonly ends: readonly number[]; // ids that may end it
  private tokenMs = BURST_MS / 4; // of a decoded token, as far as is known
  private clock = { begin: 0, first: 0, last: 0 };

  constructor(private readonly parts: GenerationParts) {
    const { tokenizer, settings, eos } = parts;
    this.transcript = new Transcript(tokenizer, settings);
    this.ends = [...settings.stopTokens, ...(settings.ignoreEos ? [] : eos)];
  }

  async nextBurst(): Promise<Burst> {
    if (this.running) throw new EdgeError('BUSY', 'The generation is already asked for its next burst');
    if (this.concluded) throw new EdgeError('CLOSED', 'The generation has ended');
    this.running = this.burst();
    try {
      return await this.running;
    } catch (error) {
      this.conclude();
      throw error;
    } finally {
      this.running = null;
      if (!this.concluded) this.parts.seat.pause();
    }
  }

  /** Ends it with reason 'aborted', at the next token or within the prompt. */
  abort(): void {
    this.call.abort();
  }

  /** Goes back to the last of `delivered` tokens, and ends. */
  async stop(delivered: number): Promise<void> {
    if (this.concluded) return;
    this.call.abort();
    await this.running?.catch(() => {});
    if (this.concluded) return;
    try {
      await this.goBack(delivered);
    } finally {
      this.conclude();
    }
  }

  /** Ends it with an error: its session was closed, or its engine. */
  async end(error: EdgeError): Promise<void> {
    this.call.abort(error);
    await this.running?.catch(() => {});
    this.conclude();
  }

  private async burst(): Promise<Burst> {
    this.forget();
    const runs = !this.ending && (await this.parts.seat.hold(this.call));
    const tokens = !runs ? [] : this.started ? await this.decode() : await this.prefill();
    if (this.call.aborted && this.call.reason.code !== 'ABORTED') throw this.call.reason;
    if (this.call.aborted) this.ending ??= { reason: 'aborted', stop: null };
    // A session may still be taken back to one of these tokens: how it ended is only said when they were taken.
    if (!this.ending || (this.parts.session && tokens.length > 0)) return { tokens, end: null };
    const { reason, stop } = this.ending;
    const { settings } = this.parts;
    this.conclude();
    const { begin, first, last } = this.clock;
    const usage = {
      promptTokens: this.promptTokens,
      cachedTokens: this.cached,
      completionTokens: this.count,
      prefillMs: first - begin,
      decodeMs: last - first,
    };
    const text = typeof stop === 'string' ? '' : this.transcript.end();
    return { tokens, end: { text, finishReason: reason, stop, seed: settings.seed, usage } };
  }

  /** The prompt and the first token. What stops it in the prompt leaves the session as it was before. */
  private async prefill(): Promise<Token[]> {
    const { sequence } = this.parts.seat;
    const { session } = this.parts;
    this.started = true;
    const rest = await this.unshared();
    if (rest === null || this.call.aborted) return [];
    sequence.requireRoom(sequence.rowsWith(rest));
    const { fresh } = sequence;
    if (this.parts.whole) this.cached = sequence.position;
    if (session) this.before = await sequence.undoPoint();
    const tokens = await this.guarded(async () => {
      try {
        if (session) await sequence.beginTurn(this.before);
        this.transcript.follow(sequence.recentWith(rest));
        const found = await this.next(rest, this.call, 1);
        if (fresh) this.cached = sequence.reused;
        return found;
      } catch (error) {
        if (!this.call.aborted || error !== this.call.reason) throw error;
        await this.before?.restore();
        return [];
      }
    });
    this.clock.first = this.clock.last = performance.now();
    return tokens;
  }

  /** The part of the prompt that the session has not consumed yet; null if the call was stopped before that was reached. */
  private async unshared(): Promise<Int32Array | null> {
    const { session, encoding, whole } = this.parts;
    const { sequence } = this.parts.seat;
    try {
      const first = whole || sequence.fresh;
      const given = await encode(encoding(first), this.call);
      const ids = first && given.length === 0 ? this.parts.firstIds() : given;
      this.promptTokens = ids.length;
      this.clock = { begin: performance.now(), first: performance.now(), last: performance.now() };
      return session && whole ? await session.share(ids, this.call) : ids;
    } catch (error) {
      if (!this.call.aborted || error !== this.call.reason) throw error;
      return null;
    }
  }

  /** Tokens until the burst is worth sending. */
  private async decode(): Promise<Token[]> {
    const { sequence } = this.parts.seat;
    const { session } = this.parts;
    if (this.call.aborted) return [];
    sequence.requireRoom(1);
    const begin = performance.now();
    if (session) this.before = await sequence.undoPoint();
    const tokens: Token[] = [];
    await this.guarded(async () => {
      while (!this.ending && !this.call.aborted && tokens.length < BURST_TOKENS) {
        const elapsed = performance.now() - begin;
        if (tokens.length > 0 && (elapsed >= BURST_MS || !this.hasRoom())) break;
        const affordable = Math.floor((BURST_MS - elapsed) / this.tokenMs);
        const most = Math.max(1, Math.min(affordable, BURST_TOKENS - tokens.length));
        tokens.push(...(await this.next(NO_IDS, new Call(), most)));
        this.tokenMs = (performance.now() - begin) / Math.max(1, tokens.length);
      }
    });
    this.clock.last = performance.now();
    return tokens;
  }

  /**
   * Consumes the pending token and `ids`, and samples: one token, or up to `most` where the device goes ahead by
   * itself. An eos or stop token is not sent.
   */
  private async next(ids: Int32Array, call: Call, most: number): Promise<Token[]> {
    const { sequence } = this.parts.seat;
    const { settings, vocabSize } = this.parts;
    const position = sequence.position + sequence.rowsWith(ids); // of the token to be sampled
    const recent = settings.penalizes ? sequence.recentWith(ids) : NO_RECENT;
    const results = await sequence.predictAhead(
      ids,
      {
        sample: { ...settings.sampling, position, recent },
        ends: this.ends,
        watched: settings.stop.length > 0,
      },
      call,
      Math.min(most, settings.maxTokens - this.count),
    );
    const tokens: Token[] = [];
    for (const [i, { sampled }] of results.entries()) {
      checkSampled(sampled, vocabSize);
      sequence.commit(sampled.id);
      this.followed.push(sampled.id);
      if (this.endsAt(sampled.id)) this.beyond = true;
      else tokens.push(this.send(sampled));
      if (!this.ending) continue;
      // Tokens sampled past the end are discarded.
      if (i + 1 < results.length && this.before) await this.replay(this.followed);
      break;
    }
    return tokens;
  }

  private send(sampled: Sampled): Token {
    const { token, stop } = this.transcript.add(sampled);
    this.count++;
    if (stop !== null) this.ending = { reason: 'stop', stop };
    else if (this.count >= this.parts.settings.maxTokens) this.ending = { reason: 'length', stop: null };
    return token;
  }

  private endsAt(id: number): boolean {
    const { settings, eos } = this.parts;
    if (settings.stopTokens.has(id)) this.ending = { reason: 'stop', stop: id };
    else if (eos.includes(id) && !settings.ignoreEos) this.ending = { reason: 'eos', stop: null };
    return this.ending !== null;
  }

  private hasRoom(): boolean {
    try {
      this.parts.seat.sequence.requireRoom(1);
      return true;
    } catch {
      return false;
    }
  }

  /** Runs steps; if one fails, the session goes back to what it was before this burst, or is damaged. */
  private async guarded<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      const { session } = this.parts;
      if (this.before) await this.before.restore().catch(() => session?.damage(error));
      else session?.damage(error);
      throw error;
    }
  }

  /** The state of the burst sent last, and its tokens again, one by one, as they were decoded: the same bits. */
  private async goBack(delivered: number): Promise<void> {
    const { session } = this.parts;
    const sent = this.beyond ? this.followed.slice(0, -1) : this.followed;
    const earlier = this.count - sent.length;
    requireArgument(
      Number.isInteger(delivered) && delivered >= earlier && delivered <= this.count,
      `delivered must be from ${earlier} to ${this.count} (tokens of the last burst), found ${delivered}`,
    );
    if (!session || (delivered === this.count && !this.beyond)) return;
    if (!this.before) throw new EdgeError('INTERNAL', 'Nothing to go back to');
    await this.guarded(() => this.replay(sent.slice(0, delivered - earlier)));
  }

  /** The state before the burst, and `ids` after it. */
  private async replay(ids: readonly number[]): Promise<void> {
    const { sequence } = this.parts.seat;
    await this.before!.restore();
    for (const id of ids) {
      await sequence.predict(NO_IDS, {}, new Call());
      sequence.commit(id);
    }
  }

  /** The tokens of the last burst were taken: no way back to before. */
  private forget(): void {
    this.before?.release();
    this.before = null;
    this.followed = [];
    this.beyond = false;
  }

  private conclude(): void {
    if (this.concluded) return;
    this.concluded = true;
    this.forget();
    this.parts.seat.free();
    this.parts.conclude();
  }
}

function checkSampled(sampled: Sampled | undefined, vocabSize: number): asserts sampled is Sampled {
  if (!sampled || !(sampled.id >= 0 && sampled.id < vocabSize))
    throw new EdgeError('INTERNAL', `The backend sampled token ${sampled?.id} of ${vocabSize}`);
  if (Number.isNaN(sampled.logprob))
    throw new EdgeError(
      'INVALID_FILE',
      "The model's logits are not numbers (NaN): its weights are damaged, or overflow. selfTest() says more",
    );
}
