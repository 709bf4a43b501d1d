import { transfer } from 'comlink';
import type { Backend } from '../src/backends/types.ts';
import type { Engine } from '../src/engine/engine.ts';
import { describe, loadEngine, type ModelDescription } from '../src/engine/load.ts';
import type {
  Burst,
  DecodeOptions,
  EngineOptions,
  GenerateOptions,
  Handle,
  ModelInfo,
  Prompt,
  PromptOptions,
  RewindTarget,
  Score,
  SelfTestReport,
  SnapshotDtype,
  StateStats,
} from '../src/engine/types.ts';
import { EdgeError } from '../src/errors.ts';
import { blobFileSet } from '../src/io/blob.ts';
import { embeddedFileSet, openFileSet } from '../src/io/fileset.ts';
import type { FileSet } from '../src/io/types.ts';
import type { Chat, EncodeOptions } from '../src/tokenizer/index.ts';
import type { EngineProtocol, Loader, WireSource } from './protocol.ts';

/** The engine's end of the boundary: one engine once it is loaded. Large results give their buffers away. */
export class EngineHost implements EngineProtocol {
  readonly #loader: Loader;
  readonly #backends: readonly Backend[];
  #engine: Engine | null = null;
  #loading: { source: WireSource; options: EngineOptions } | null = null;
  #recovering: Promise<ModelInfo> | null = null;

  constructor(loader: Loader, backends: (loader: Loader) => readonly Backend[]) {
    this.#loader = loader;
    this.#backends = backends(loader);
  }

  hello(): void {}

  async load(source: WireSource, options: EngineOptions, signal?: AbortSignal): Promise<ModelInfo> {
    if (this.#engine) throw new EdgeError('INTERNAL', 'One engine holds one model');
    this.#loading = { source, options };
    this.#engine = await this.#start(signal);
    return publicInfo(this.#engine);
  }

  recover(): Promise<ModelInfo> {
    this.#recovering ??= this.#recover().finally(() => {
      this.#recovering = null;
    });
    return this.#recovering;
  }

  async #recover(): Promise<ModelInfo> {
    const lost = this.#loaded();
    if (!lost.lost) return publicInfo(lost);
    await lost.dispose(new EdgeError('DEVICE_LOST', 'The GPU device was lost: await recover(), or call it'));
    const engine = await this.#start();
    try {
      await engine.adopt(lost);
    } catch (error) {
      await engine.dispose();
      throw error;
    }
    this.#engine = engine;
    return publicInfo(engine);
  }

  async #start(signal?: AbortSignal): Promise<Engine> {
    const { source, options } = this.#loading!;
    return loadEngine(await openSource(source, this.#loader), options, {
      backends: this.#backends,
      onProgress: (progress) => void this.#loader.progress(progress),
      signal,
    });
  }

  /** The memory contract; loads nothing. */
  async describe(source: WireSource, options: EngineOptions): Promise<ModelDescription> {
    return describe(await openSource(source, this.#loader), options, { backends: this.#backends });
  }

  async encode(text: string, options?: EncodeOptions, call?: Handle): Promise<Int32Array> {
    return moved(await this.#loaded().encode(text, options, call));
  }

  async decode(ids: Int32Array): Promise<string> {
    return this.#loaded().decode(ids);
  }

  async render(chat: Chat): Promise<string> {
    return this.#loaded().render(chat);
  }

  openSession(session: Handle): Promise<void> {
    return this.#loaded().openSession(session);
  }

  closeSession(session: Handle): Promise<void> {
    return this.#loaded().closeSession(session);
  }

  resetSession(session: Handle): Promise<void> {
    return this.#loaded().resetSession(session);
  }

  append(
    session: Handle,
    prompt: Prompt,
    call: Handle,
    options?: PromptOptions & { continues?: boolean },
  ): Promise<number> {
    return this.#loaded().append(session, prompt, call, options);
  }

  position(session: Handle): number {
    return this.#loaded().position(session);
  }

  rewind(session: Handle, target: RewindTarget, call: Handle): Promise<number> {
    return this.#loaded().rewind(session, target, call);
  }

  forkSession(session: Handle, fork: Handle): Promise<void> {
    return this.#loaded().forkSession(session, fork);
  }

  async saveSession(session: Handle, dtype: SnapshotDtype): Promise<Uint8Array> {
    return moved(await this.#loaded().saveSession(session, dtype));
  }

  restoreSession(session: Handle, bytes: Uint8Array, options: DecodeOptions): Promise<number> {
    return this.#loaded().restoreSession(session, bytes, options);
  }

  stats(): StateStats {
    return this.#loaded().stats();
  }

  startGeneration(
    generation: Handle,
    session: Handle | null,
    prompt: Prompt,
    options: GenerateOptions,
  ): Promise<void> {
    return this.#loaded().startGeneration(generation, session, prompt, options);
  }

  nextBurst(generation: Handle): Promise<Burst> {
    return this.#loaded().nextBurst(generation);
  }

  stopGeneration(generation: Handle, delivered: number): Promise<void> {
    return this.#loaded().stopGeneration(generation, delivered);
  }

  async logits(
    prompt: Prompt,
    last: number | null,
    call: Handle,
    options?: PromptOptions,
  ): Promise<Float32Array> {
    return moved(await this.#loaded().logits(prompt, last, call, options));
  }

  async score(prompt: Prompt, call: Handle, options?: PromptOptions): Promise<Score> {
    const score = await this.#loaded().score(prompt, call, options);
    return transfer(score, [score.ids.buffer, score.logprobs.buffer] as ArrayBuffer[]);
  }

  scoreContinuations(
    context: Prompt,
    continuations: readonly Prompt[],
    call: Handle,
    options?: PromptOptions,
  ): Promise<Float32Array[]> {
    return this.#loaded().scoreContinuations(context, continuations, call, options);
  }

  selfTest(): Promise<SelfTestReport> {
    return this.#loaded().selfTest();
  }

  abort(call: Handle): void {
    this.#loaded().abort(call);
  }

  async dispose(): Promise<void> {
    await this.#engine?.dispose();
  }

  #loaded(): Engine {
    if (!this.#engine) throw new EdgeError('INTERNAL', 'The engine was used before it was loaded');
    return this.#engine;
  }
}

/** Backends of this build are public ones. */
function publicInfo({ info }: Engine): ModelInfo {
  return info as ModelInfo;
}

async function openSource(source: WireSource, loader: Loader): Promise<FileSet> {
  switch (source.kind) {
    case 'location':
      return openFileSet(source.location, source.download);
    case 'embedded':
      return embeddedFileSet(source.urls);
    case 'files':
      return blobFileSet(
        source.files.map(({ name, size }, index) => ({
          name,
          blob: {
            size,
            slice: (begin, end) => ({ arrayBuffer: () => loader.readFile(index, begin, end - begin) }),
          },
        })),
      );
  }
}

function moved<T extends Int32Array | Float32Array | Uint8Array>(array: T): T {
  return transfer(array, [array.buffer as ArrayBuffer]);
}
