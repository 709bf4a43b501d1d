import { transfer } from 'comlink';
import type { Backend } from '../src/backends/types.ts';
import type { Engine } from '../src/engine/engine.ts';
import { describe, loadEngine, type ModelDescription } from '../src/engine/load.ts';
import { ENGINE_CALLS, type Given } from '../src/engine/service.ts';
import type { EngineOptions, ModelInfo } from '../src/engine/types.ts';
import { EdgeError } from '../src/errors.ts';
import { blobFileSet } from '../src/io/blob.ts';
import { embeddedFileSet, openFileSet } from '../src/io/fileset.ts';
import type { FileSet } from '../src/io/types.ts';
import type { EngineProtocol, Loader, WireSource } from './protocol.ts';

type EngineCalls = Pick<Engine, keyof typeof ENGINE_CALLS>;
type AnyCall = (...given: never[]) => unknown;

/** Hands the calls of an engine on to it, once there is one. */
class Forwarder {
  protected engine: Engine | null = null;

  constructor() {
    for (const [name, crossing] of Object.entries(ENGINE_CALLS)) {
      const call = (...given: never[]) => {
        const engine = this.loaded();
        const result: unknown = (engine[name as keyof EngineCalls] as AnyCall).apply(engine, given);
        return crossing === 'copied' ? result : give(result as Promise<never>, crossing as Given<never>);
      };
      Object.assign(this, { [name]: call });
    }
  }

  protected loaded(): Engine {
    if (!this.engine) throw new EdgeError('INTERNAL', 'The engine was used before it was loaded');
    return this.engine;
  }
}

async function give<T>(result: Promise<T>, arrays: Given<T>): Promise<T> {
  const given = await result;
  return transfer(
    given,
    arrays(given).map(({ buffer }) => buffer as ArrayBuffer),
  );
}

/** The engine's end of the boundary: one engine once it is loaded. */
export class EngineHost extends (Forwarder as new () => Forwarder & EngineCalls) implements EngineProtocol {
  readonly #loader: Loader;
  readonly #backends: readonly Backend[];
  #loading: { source: WireSource; options: EngineOptions } | null = null;
  #recovering: Promise<ModelInfo> | null = null;

  constructor(loader: Loader, backends: (loader: Loader) => readonly Backend[]) {
    super();
    this.#loader = loader;
    this.#backends = backends(loader);
  }

  hello(): void {}

  async load(source: WireSource, options: EngineOptions, signal?: AbortSignal): Promise<ModelInfo> {
    if (this.engine) throw new EdgeError('INTERNAL', 'One engine holds one model');
    this.#loading = { source, options };
    this.engine = await this.#start(signal);
    return publicInfo(this.engine);
  }

  recover(): Promise<ModelInfo> {
    this.#recovering ??= this.#recover().finally(() => {
      this.#recovering = null;
    });
    return this.#recovering;
  }

  async #recover(): Promise<ModelInfo> {
    const lost = this.loaded();
    if (!lost.lost) return publicInfo(lost);
    await lost.dispose(new EdgeError('DEVICE_LOST', 'The GPU device was lost: await recover(), or call it'));
    const engine = await this.#start();
    try {
      await engine.adopt(lost);
    } catch (error) {
      await engine.dispose();
      throw error;
    }
    this.engine = engine;
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

  async dispose(): Promise<void> {
    await this.engine?.dispose();
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
