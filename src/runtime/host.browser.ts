import type { Endpoint } from 'comlink';
import type { Thread, WorkerHandle } from './host.types.ts';

export type * from './host.types.ts';

/** The browser's name and major version, as far as it tells. */
export function runtimeName(): string {
  const match = /(Firefox|Edg|Chrome|Version)\/(\d+)/.exec(navigator.userAgent);
  const names: Record<string, string> = { Edg: 'Edge', Version: 'Safari' };
  return match ? `${names[match[1]!] ?? match[1]} ${match[2]}` : 'browser';
}

/** Cores that this page may use. */
export function coreCount(): number {
  return Math.max(1, navigator.hardwareConcurrency || 1);
}

/** Bytes of memory of this machine, rounded and capped by the browser; null where it isn't told. */
export function totalMemory(): number | null {
  const { deviceMemory } = navigator as { deviceMemory?: number };
  return deviceMemory === undefined ? null : deviceMemory * 2 ** 30;
}

/** May a WebAssembly.Memory be shared between threads here? Pages need COOP and COEP headers for it. */
export function canShareMemory(): boolean {
  return globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== 'undefined';
}

/** May this very thread block in Atomics.wait? The page's main thread may not. */
export function canBlock(): boolean {
  return 'WorkerGlobalScope' in globalThis;
}

// The engine's worker and its team's threads are one script, told apart by the name they are given:
// a page with a strict Content-Security-Policy then has one file to serve.
const THREAD = 'edge-ssm-thread';
let inlined: Promise<string> | undefined; // Blob URL; threads load it again, so it is never revoked

async function inlinedUrl(): Promise<string> {
  const { default: text } = await import('edge-ssm:engine-worker');
  return URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
}

const notLoaded = (url: string | URL | undefined) =>
  url === undefined
    ? "its script was not loaded; if the page's Content-Security-Policy forbids blob: workers, serve the script of " +
      'edge-ssm/worker and give its address as workerUrl'
    : `its script was not loaded from ${url}`;

/** Starts the engine's worker: a Blob URL of the inlined script, or the script at `url`. */
export async function spawnEngine(url?: string | URL): Promise<WorkerHandle> {
  if (url === undefined) inlined ??= inlinedUrl();
  const worker = new Worker(url ?? (await inlined)!, { name: 'edge-ssm' });
  let listener: ((cause: unknown) => void) | null = null;
  let death: { cause: unknown } | null = null;
  const die = (cause: unknown) => {
    if (death) return;
    death = { cause };
    worker.terminate();
    listener?.(cause);
  };
  worker.addEventListener('error', (event) => {
    die(event.error ?? new Error(event.message || notLoaded(url)));
  });
  worker.addEventListener('messageerror', () => die(new Error('A message could not be read')));
  return {
    endpoint: worker,
    onDeath(listen) {
      listener = listen;
      if (death) listen(death.cause);
    },
    terminate: async () => die(new Error('The worker was terminated')),
    keepAlive() {},
  };
}

/** In the engine's worker: the other end of `spawnEngine`'s endpoint. */
export function engineEndpoint(): Endpoint {
  return globalThis as unknown as Endpoint;
}

/**
 * Starts a thread of the WASM team, hands it `data`, and resolves once it is about to run.
 * `failed` is called if it fails later on.
 */
export function spawnThread(data: unknown, failed: (cause: unknown) => void): Promise<Thread> {
  const worker = new Worker(globalThis.location.href, { name: THREAD });
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => {
      reject(cause);
      failed(cause);
    };
    worker.addEventListener('error', (event) => fail(event.error ?? new Error(event.message)));
    worker.addEventListener('message', ({ data: failure }: MessageEvent<string | null>) => {
      if (failure !== null) fail(new Error(failure));
      else resolve({ terminate: async () => worker.terminate() });
    });
    worker.postMessage(data);
  });
}

/** In a thread of the WASM team: prepares with the data it was started with, answers, and runs to its end. */
export function serveThread(prepare: (data: unknown) => Promise<() => void>): void {
  globalThis.addEventListener(
    'message',
    async (event) => {
      try {
        const run = await prepare((event as MessageEvent).data);
        globalThis.postMessage(null);
        run();
      } catch (error) {
        globalThis.postMessage(String(error)); // a rejection alone would not reach the parent
      }
    },
    { once: true },
  );
}

/** Is this script a thread of the WASM team rather than the engine's worker? */
export function isThread(): boolean {
  return (globalThis as { name?: string }).name === THREAD;
}

// Each is a chunk of its own: a page fetches the one that it runs.
const MODULES: Record<string, () => Promise<{ default: Uint8Array<ArrayBuffer> }>> = {
  'edge.scalar': () => import('../../wasm/modules/edge.scalar.wasm'),
  'edge.scalar.threads': () => import('../../wasm/modules/edge.scalar.threads.wasm'),
  'edge.simd': () => import('../../wasm/modules/edge.simd.wasm'),
  'edge.simd.threads': () => import('../../wasm/modules/edge.simd.threads.wasm'),
  'edge.relaxed': () => import('../../wasm/modules/edge.relaxed.wasm'),
  'edge.relaxed.threads': () => import('../../wasm/modules/edge.relaxed.threads.wasm'),
  'edge.memory64': () => import('../../wasm/modules/edge.memory64.wasm'),
};

/** The bytes of a module of wasm/modules. */
export async function wasmModule(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return (await MODULES[name]!()).default;
}

/** Only the browser itself knows. */
export async function withoutGpuHardware(): Promise<string | null> {
  return null;
}

/** This page's or worker's WebGPU, or why there is none. */
export async function findGpu(): Promise<GPU | string> {
  if (navigator.gpu) return navigator.gpu;
  return globalThis.isSecureContext === false
    ? 'WebGPU needs a secure context (https or localhost)'
    : 'this browser has no WebGPU';
}

/** URLs of the embedded model's files, by file name. Each is spelled out for bundlers to find. */
export function tinyFiles(): Record<string, string> {
  return {
    'config.json': new URL('../../models/tiny/config.json', import.meta.url).href,
    'generation_config.json': new URL('../../models/tiny/generation_config.json', import.meta.url).href,
    'model.safetensors': new URL('../../models/tiny/model.safetensors', import.meta.url).href,
    'tokenizer.json': new URL('../../models/tiny/tokenizer.json', import.meta.url).href,
  };
}

/** A location that means the same in a worker, whose own base is a Blob URL. */
export function absoluteLocation(location: string): string {
  const base = 'document' in globalThis ? document.baseURI : globalThis.location.href;
  return new URL(location, base).href;
}
