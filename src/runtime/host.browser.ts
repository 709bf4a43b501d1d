import type { Endpoint } from 'comlink';
import { EdgeError } from '../errors.ts';
import type { Thread, WorkerHandle } from './host.types.ts';
import { part } from './part.ts';

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

/** Bytes of memory of this machine, rounded and capped by the browser; null where it isn't known. */
export function totalMemory(): number | null {
  const { deviceMemory } = navigator as { deviceMemory?: number };
  return deviceMemory === undefined ? null : deviceMemory * 2 ** 30;
}

/** May a WebAssembly.Memory be shared between threads here? Pages need COOP and COEP headers for it. */
export function canShareMemory(): boolean {
  return globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== 'undefined';
}

/** May this very thread block in Atomics.wait, and start threads? The engine's worker may: its script is theirs, too. */
export function canBlock(): boolean {
  return (globalThis as { name?: string }).name === ENGINE;
}

/** Can workers be started here? Service workers cannot. */
export function hasWorkers(): boolean {
  return typeof Worker !== 'undefined';
}

// The engine's worker and its pool's threads are one script, told apart by the name they are given:
// a page with a strict Content-Security-Policy then has one file to serve.
const ENGINE = 'edge-ssm';
const THREAD = 'edge-ssm-thread';
let inlined: Promise<string> | undefined; // Blob URL; threads load it again, so it is never revoked

async function inlinedUrl(): Promise<string> {
  const { default: text } = await part(import('edge-ssm:engine-worker'));
  return URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
}

const notLoaded = (url: string | URL | undefined) =>
  url === undefined
    ? "its script was not loaded; if the page's Content-Security-Policy forbids blob: workers, serve the script of " +
      'edge-ssm/worker and give its address as workerUrl'
    : `its script was not loaded from ${url}`;

interface ScriptPolicy {
  createScriptURL(url: string): string; // an object that stands for one
}
interface Trust {
  createPolicy(name: string, rules: ScriptPolicy): ScriptPolicy;
}
let policy: ScriptPolicy | undefined;

/** A worker, on pages that require Trusted Types too. */
function startWorker(url: string | URL, name: string): Worker {
  const { trustedTypes } = globalThis as { trustedTypes?: Trust };
  try {
    policy ??= trustedTypes?.createPolicy('edge-ssm', { createScriptURL: (text) => text });
  } catch {} // the page does not allow it, but may have a default policy that lets the URL pass
  try {
    return new Worker(policy?.createScriptURL(String(url)) ?? url, { name });
  } catch (cause) {
    throw new EdgeError(
      'WORKER_DIED',
      `The engine's worker could not be started: ${cause}; Trusted Types must allow the policy edge-ssm ` +
        "(Content-Security-Policy: 'trusted-types edge-ssm'), and workerUrl must be of the page's origin",
      { cause },
    );
  }
}

/** Starts the engine's worker: a Blob URL of the inlined script, or the script at `url`. */
export async function spawnEngine(url?: string | URL): Promise<WorkerHandle> {
  if (url === undefined) inlined ??= inlinedUrl();
  const worker = startWorker(url ?? (await inlined)!, ENGINE);
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
 * Starts a thread of the WASM thread pool, hands it `data`, and resolves once it is about to run.
 * `failed` is called if it fails later on.
 */
export async function spawnThread(data: unknown, failed: (cause: unknown) => void): Promise<Thread> {
  const worker = startWorker(globalThis.location.href, THREAD);
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

/** In a thread of the WASM thread pool: prepares with the data it was started with, answers, and runs to its end. */
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

/** Is this script a thread of the WASM thread pool rather than the engine's worker? */
export function isThread(): boolean {
  return (globalThis as { name?: string }).name === THREAD;
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

/** Where the embedded model is. Bundlers find it by this very expression, and copy it. */
export function embeddedModel(): string[] {
  try {
    // Some make it a path of the site, which says nothing in a worker of a Blob.
    return [absoluteLocation(new URL('../../dist/tiny.safetensors', import.meta.url).href)];
  } catch {
    return []; // scripts that are no modules don't know where they are
  }
}

/** A location that means the same in a worker, whose own base is a Blob URL. */
export function absoluteLocation(location: string): string {
  const base = 'document' in globalThis ? document.baseURI : globalThis.location.href;
  return new URL(location, base.startsWith('blob:') ? globalThis.origin : base).href;
}
