import type { Executor } from '../backends/types.ts';
import { EdgeError, requireArgument, show } from '../errors.ts';
import type { Program } from '../ops/program.ts';
import { decodeSnapshot, encodeSnapshot, type SnapshotModel } from '../state/snapshot.ts';
import type { Chat, EncodeOptions, Tokenizer } from '../tokenizer/index.ts';
import { formatName } from '../weights/format.ts';
import { type Call, Calls } from './core/call.ts';
import { createDevice, type Device } from './core/device.ts';
import { Generation } from './language/generation.ts';
import { readEncodeOptions, readOptions } from './language/options.ts';
import {
  type Encoding,
  encode,
  firstIds,
  isChat,
  type Reader,
  readPrompt,
  requireTokenizer,
  toAnswer,
} from './language/prompt.ts';
import { logits, score, scoreContinuations } from './language/score.ts';
import { Seat } from './language/seat.ts';
import { Sequence } from './language/sequence.ts';
import { type Occupant, Session } from './language/session.ts';
import { type Golden, selfTest } from './selftest/selftest.ts';
import type {
  Burst,
  DecodeOptions,
  EngineInfo,
  EngineService,
  GenerateOptions,
  Handle,
  Prompt,
  PromptOptions,
  RewindTarget,
  Score,
  SelfTestReport,
  SnapshotDtype,
  StateStats,
} from './types.ts';

export interface EngineParts extends Reader {
  executor: Executor; // with info.maxSessions + info.shadowSlots slots
  program: Program;
  info: EngineInfo;
  /** Greedy tokens that the model is known to give. */
  golden?: readonly Golden[];
  /** Where the first number of a weight is that is NaN or infinite; null or absent if all are finite. */
  nonFinite?: string | null;
  /** A known-answer test of every op on this device. */
  testOps?: () => Promise<{ ok: boolean; detail: string }>;
  /** Self-test of linears in the model's own formats. */
  testFormats?: () => Promise<{ ok: boolean; detail: string }>;
  /** Frees what the engine was made of, after its executor. */
  onDispose?: () => Promise<void>;
}

/** One loaded model: what the worker offers (see EngineService). Every failure is an EdgeError. */
export class Engine implements EngineService {
  readonly info: EngineInfo;
  private readonly device: Device;
  private readonly model: SnapshotModel;
  private readonly sessions = new Map<Handle, Session>();
  private readonly generations = new Map<Handle, Generation>();
  private readonly calls = new Calls();
  private ended: EdgeError | null = null; // what calls reject with from then on
  private disposing: Promise<void> | null = null;

  constructor(private readonly parts: EngineParts) {
    const { executor, program, info } = parts;
    this.info = info;
    this.device = createDevice(executor, program, info);
    this.model = { ...info, weights: formatName(info.weights), layout: this.device.layout };
  }

  async encode(text: string, options: EncodeOptions = {}, call?: Handle): Promise<Int32Array> {
    const work = this.tokenizer().encoding(text, readEncodeOptions(options));
    return this.calls.run(call, (running) => encode(work, running));
  }

  decode(ids: readonly number[] | Int32Array): string {
    return this.tokenizer().decode(ids);
  }

  render(chat: Chat): string {
    return this.tokenizer().chat.render(chat);
  }

  openSession(handle: Handle): Promise<void> {
    return this.admit(handle, async (call) => new Session(await Sequence.open(this.device, 'session', call)));
  }

  forkSession(handle: Handle, fork: Handle): Promise<void> {
    return this.admit(fork, (call) => this.session(handle).fork(call));
  }

  async saveSession(handle: Handle, dtype: SnapshotDtype): Promise<Uint8Array> {
    requireArgument(dtype === 'f32' || dtype === 'f16', `dtype is 'f32' or 'f16', found ${show(dtype)}`);
    return encodeSnapshot(this.model, await this.session(handle).read(), dtype);
  }

  async restoreSession(handle: Handle, bytes: Uint8Array, options: DecodeOptions): Promise<number> {
    this.requireOpen();
    requireArgument(bytes instanceof Uint8Array, 'A snapshot is a Uint8Array: what save() gave');
    const conversation = decodeSnapshot(bytes, this.model, options);
    await this.admit(handle, (call) => Session.resume(this.device, conversation, call));
    return conversation.position;
  }

  async closeSession(handle: Handle): Promise<void> {
    const session = this.sessions.get(handle);
    this.sessions.delete(handle);
    if (!this.ended) await session?.close();
  }

  async resetSession(handle: Handle): Promise<void> {
    await this.session(handle).reset();
  }

  async append(
    handle: Handle,
    prompt: Prompt,
    call: Handle,
    { continues = false, ...options }: PromptOptions & { continues?: boolean } = {},
  ): Promise<number> {
    const session = this.session(handle);
    const encoding = this.read(prompt, options);
    return this.calls.run(call, (running) => session.append(encoding, running, continues, isChat(prompt)));
  }

  async rewind(handle: Handle, target: RewindTarget, call: Handle): Promise<number> {
    const session = this.session(handle);
    return this.calls.run(call, (running) => session.rewind(target, running));
  }

  position(handle: Handle): number {
    return this.session(handle).sequence.position;
  }

  stats(): StateStats {
    this.requireOpen();
    const { checkpoints, cache, slotCache } = this.device;
    const { count, bytes, maxBytes } = checkpoints;
    return {
      sessions: this.sessions.size,
      spilled: slotCache.spilled,
      waiting: slotCache.waiting,
      checkpoints: { count, bytes, maxBytes },
      prefixCache: cache?.stats ?? null,
    };
  }

  async startGeneration(
    handle: Handle,
    sessionHandle: Handle | null,
    prompt: Prompt,
    options: GenerateOptions,
  ): Promise<void> {
    this.requireOpen();
    requireArgument(!this.generations.has(handle), `There is a generation ${handle} already`);
    const session = sessionHandle === null ? null : this.session(sessionHandle);
    const settings = readOptions(options, this.info.vocabSize, this.info.generationDefaults);
    if (settings.stop.length > 0) requireTokenizer(this.parts, 'use stopTokens instead of stop');
    const encoding = this.read(toAnswer(prompt), options);
    const starts = !session || session.sequence.fresh;
    if (starts && !isChat(prompt) && prompt.length === 0) firstIds(this.parts.tokenizer, this.info); // is there one?
    const seat = new Seat(this.device.slotCache, !session, async (call) => {
      if (!session) return Sequence.open(this.device, 'text', call);
      await session.sequence.pin(call);
      return session.sequence;
    });
    const generation = new Generation({
      seat,
      session,
      encoding,
      firstIds: () => firstIds(this.parts.tokenizer, this.info),
      whole: isChat(prompt),
      settings,
      tokenizer: this.parts.tokenizer,
      eos: this.info.eosTokenIds,
      vocabSize: this.info.vocabSize,
      conclude: () => {
        this.generations.delete(handle);
        session?.leave(occupant);
      },
    });
    const occupant: Occupant = { name: 'generate', end: (error) => generation.end(error) };
    session?.occupy(occupant);
    this.generations.set(handle, generation);
  }

  async nextBurst(handle: Handle): Promise<Burst> {
    this.requireOpen();
    const generation = this.generations.get(handle);
    if (!generation) throw new EdgeError('CLOSED', `Generation ${handle} has ended, or never began`);
    return generation.nextBurst();
  }

  async stopGeneration(handle: Handle, delivered: number): Promise<void> {
    this.requireOpen();
    await this.generations.get(handle)?.stop(delivered);
  }

  async logits(
    prompt: Prompt,
    last: number | null,
    call: Handle,
    options: PromptOptions = {},
  ): Promise<Float32Array> {
    this.requireOpen();
    const encoding = this.read(prompt, options);
    return this.calls.run(call, (running) => logits(this.device, encoding, last, running));
  }

  async score(prompt: Prompt, call: Handle, options: PromptOptions = {}): Promise<Score> {
    this.requireOpen();
    const encoding = this.read(prompt, options);
    return this.calls.run(call, (running) => score(this.device, encoding, running));
  }

  async scoreContinuations(
    context: Prompt,
    continuations: readonly Prompt[],
    call: Handle,
    options: PromptOptions = {},
  ): Promise<Float32Array[]> {
    this.requireOpen();
    requireArgument(
      Array.isArray(continuations),
      `continuations must be a list of prompts, found ${show(continuations)}`,
    );
    const before = this.read(context, options);
    const after = Array.from(continuations, (prompt) => this.read(prompt, options));
    return this.calls.run(call, (running) => scoreContinuations(this.device, before, after, running));
  }

  async selfTest(): Promise<SelfTestReport> {
    this.requireOpen();
    return selfTest({ ...this.parts, device: this.device });
  }

  /** Ends the call or generation of this handle, if it runs. */
  abort(handle: Handle): void {
    this.calls.abort(handle);
    this.generations.get(handle)?.abort();
  }

  /** Has the device gone away? Then nothing runs here any more. */
  get lost(): boolean {
    return this.parts.executor.lost === true;
  }

  /**
   * Takes over the sessions of an engine of the same model whose device was lost, under the same handles: each is what
   * it was after the last token that was delivered. One whose past is forgotten can only be reset.
   */
  async adopt(other: Engine): Promise<void> {
    for (const [handle, session] of other.sessions)
      await this.admit(handle, () => Session.revive(this.device, session));
    for (const handle of [...this.sessions.keys()])
      if (!other.sessions.has(handle)) await this.closeSession(handle); // meanwhile
  }

  /** Frees everything. What is pending, and what follows, rejects with `reason`. */
  dispose(
    reason = new EdgeError('CLOSED', 'The model was disposed. Load it again to use it'),
  ): Promise<void> {
    this.disposing ??= this.close(reason);
    return this.disposing;
  }

  private async close(closed: EdgeError): Promise<void> {
    this.ended = closed;
    this.calls.abortAll(closed);
    const ended = [...this.generations.values()].map((generation) => generation.end(closed));
    this.device.slotCache.close(closed);
    await this.device.scheduler.close(closed);
    await Promise.all(ended);
    await this.parts.executor.dispose();
    await this.parts.onDispose?.();
  }

  private requireOpen(): void {
    if (this.ended) throw this.ended;
  }

  /** Opens a session under a handle that none has yet, and that can be given to `abort` until it is open. */
  private async admit(handle: Handle, open: (call: Call) => Promise<Session>): Promise<void> {
    this.requireOpen();
    requireArgument(!this.sessions.has(handle), `There is a session ${handle} already`);
    await this.calls.run(handle, async (call) => {
      this.sessions.set(handle, await open(call));
    });
  }

  private tokenizer(): Tokenizer {
    this.requireOpen();
    return requireTokenizer(this.parts, 'it takes and gives token ids only');
  }

  private session(handle: Handle): Session {
    this.requireOpen();
    const session = this.sessions.get(handle);
    if (!session) throw new EdgeError('CLOSED', `Session ${handle} was closed, or never opened`);
    return session;
  }

  private read(prompt: Prompt, options: PromptOptions): Encoding {
    return readPrompt(prompt, options, this.parts, this.info.vocabSize);
  }
}
