import { readdir } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { pathToFileURL } from 'node:url';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { Endpoint } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import type { Thread, WorkerHandle } from './host.types.ts';
import { part } from './part.ts';

export type * from './host.types.ts';

/** 'Node.js 22.1.0', 'Bun 1.4.0' or 'Deno 2.9.0'. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return `Bun ${bun}`;
  if (deno !== undefined) return `Deno ${deno}`;
  return `Node.js ${node}`;
}

/** Cores that this process may use. */
export function coreCount(): number {
  return Math.max(1, availableParallelism());
}

/** Bytes of memory of this machine; null where it isn't known. */
export function totalMemory(): number | null {
  return totalmem();
}

/** May a WebAssembly.Memory be shared between threads here? */
export function canShareMemory(): boolean {
  return typeof SharedArrayBuffer !== 'undefined';
}

/** May this very thread block in Atomics.wait? */
export function canBlock(): boolean {
  return true;
}

/** Can workers be started here? */
export function hasWorkers(): boolean {
  return true;
}

/** This script's URL; '' in a bundle that does not know it. */
function here(): string {
  if (import.meta.url) return import.meta.url;
  return typeof __filename === 'string' ? pathToFileURL(__filename).href : ''; // bundled as CommonJS
}

// Workers learn here where the package is: their own script is a text.
interface Whereabouts {
  edgeSsm?: string; // `here()` in the thread that started them
}
const whereabouts = (): string => (workerData as Whereabouts | null)?.edgeSsm ?? here();

/** A URL as it is, a path as the URL of its file. */
function toUrl(location: string | URL): URL {
  return /^[a-z][a-z+.-]+:/i.test(String(location)) ? new URL(location) : pathToFileURL(String(location));
}

/** Starts the engine's worker: a text among the scripts, since bundlers lose files; or the script at `url`. */
export async function spawnEngine(url?: string | URL): Promise<WorkerHandle> {
  const text =
    url === undefined ? (await part(import('../../dist/node/engine-worker.script.js'))).default : null;
  const worker = new Worker(text ?? toUrl(url!), {
    eval: text !== null,
    execArgv: [], // flags of the process such as --input-type are refused in workers
    name: 'edge-ssm',
    workerData: { edgeSsm: here() } satisfies Whereabouts,
  });
  let listener: ((cause: unknown) => void) | null = null;
  let death: { cause: unknown } | null = null;
  const die = (cause: unknown) => {
    if (death) return;
    death = { cause };
    listener?.(cause);
  };
  worker.on('error', die);
  worker.on('messageerror', die);
  worker.on('exit', (code) => die(new Error(`The worker exited with code ${code}`)));
  return {
    endpoint: nodeEndpoint(worker),
    onDeath(listen) {
      listener = listen;
      if (death) listen(death.cause);
    },
    terminate: async () => {
      await worker.terminate();
    },
    keepAlive: (alive) => (alive ? worker.ref() : worker.unref()),
  };
}

/** In the engine's worker: the other end of `spawnEngine`'s endpoint. */
export function engineEndpoint(): Endpoint {
  if (!parentPort) throw new Error('This script runs in a worker only');
  return nodeEndpoint(parentPort);
}

/**
 * Starts a thread of the WASM thread pool, hands it `data`, and resolves once it is about to run.
 * `failed` is called if it ends later on without being asked to.
 */
export async function spawnThread(data: unknown, failed: (cause: unknown) => void): Promise<Thread> {
  const { default: text } = await part(import('../../dist/node/wasm-thread.script.js'));
  const worker = new Worker(text, { eval: true, execArgv: [], name: 'edge-ssm-thread' });
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => {
      reject(cause);
      failed(cause);
    };
    const exit = (code: number) => fail(new Error(`A thread exited with code ${code}`));
    worker.on('error', fail);
    worker.on('exit', exit);
    worker.once('message', () => {
      worker.unref();
      resolve({
        terminate: async () => {
          worker.removeListener('exit', exit);
          await worker.terminate();
        },
      });
    });
    worker.postMessage(data);
  });
}

/** In a thread of the WASM thread pool: prepares with the data it was started with, answers, and runs to its end. */
export function serveThread(prepare: (data: unknown) => Promise<() => void>): void {
  parentPort?.once('message', async (data: unknown) => {
    const run = await prepare(data); // a rejection ends the thread with an 'error' event
    parentPort?.postMessage(null);
    run();
  });
}

/** Names that the kernel's GPU drivers give their devices. */
const GPU_DEVICE = /^(dri|dxg|kfd|nvidia|nvhost|nvmap|mali|kgsl|pvr)/;

/**
 * Null, or how it is known that this machine has no GPU. A software driver is not worth loading to find that out: it
 * takes its time and memory.
 */
export async function withoutGpuHardware(): Promise<string | null> {
  if (process.platform !== 'linux') return null;
  const devices = await readdir('/dev').catch(() => ['dri']); // not to be seen: perhaps
  return devices.some((name) => GPU_DEVICE.test(name)) ? null : 'this machine has no GPU';
}

const DAWN_FEATURES = [
  'skip_validation', // the commands of a step are always the same ones: to check each again takes longer than to encode it
  'disable_robustness', // our kernels stay within their arrays, which test/webgpu/bounds.ts checks: a third of a prefill's time
  'allow_unsafe_apis', // subgroup matrices are an experiment of Dawn's
  'vulkan_enable_f16_on_nvidia', // Dawn has f16 on NVIDIA GPUs behind this toggle
];

let gpu: Promise<GPU | string> | undefined; // kept: Dawn ends the process once its object is collected

/** The runtime's own WebGPU (Deno), else that of the package `webgpu` (Dawn) if it is installed; or why there is none. */
export function findGpu(): Promise<GPU | string> {
  gpu ??= loadGpu();
  return gpu;
}

async function loadGpu(): Promise<GPU | string> {
  const own = (globalThis.navigator as { gpu?: GPU } | undefined)?.gpu;
  if (own) {
    // OpenGL would be looked at, too: of no use here, and Mesa's can crash Deno as the process ends.
    if (process.platform === 'linux' && process.env.DENO_WEBGPU_BACKEND === undefined)
      denoEnv()?.set('DENO_WEBGPU_BACKEND', 'vulkan');
    return own;
  }
  if (process.platform === 'linux' && !(await hasVulkanDriver())) return 'no Vulkan driver is installed';
  try {
    const { create } = await importDawn();
    return create([`enable-dawn-features=${DAWN_FEATURES.join()}`]);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
      ? "the package 'webgpu' is not installed (npm install webgpu)"
      : `the package 'webgpu' does not load here: ${message}`;
  }
}

/** The package `webgpu`, as installed beside edge-ssm, else where the program was started. Bundlers leave it alone. */
async function importDawn(): Promise<typeof import('webgpu')> {
  const { createRequire } = await import('node:module'); // imported above, bundlers would follow it
  const resolve = (from: string) => createRequire(from).resolve('webgpu');
  const elsewhere = () => resolve(`${process.cwd()}/`);
  let path: string;
  try {
    path = whereabouts() ? resolve(whereabouts()) : elsewhere();
  } catch {
    path = elsewhere();
  }
  return import(
    /* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ pathToFileURL(path).href
  );
}

/** The environment of Deno's process; a worker's `process.env` is a copy. */
function denoEnv(): { set(name: string, value: string): void } | undefined {
  return (globalThis as { Deno?: { env: { set(name: string, value: string): void } } }).Deno?.env;
}

/** Dawn says a lot on standard error where there is none. The Vulkan loader's places: LoaderInterfaceArchitecture.md. */
async function hasVulkanDriver(): Promise<boolean> {
  const { env } = process;
  if (env.VK_ICD_FILENAMES || env.VK_DRIVER_FILES || env.VK_ADD_DRIVER_FILES) return true;
  const places = [
    ...(env.XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(':'),
    ...(env.XDG_CONFIG_DIRS || '/etc/xdg').split(':'),
    env.XDG_DATA_HOME || `${env.HOME}/.local/share`,
    '/etc',
    '/usr/local/etc',
  ];
  const listings = places.map((place) => readdir(`${place}/vulkan/icd.d`).catch(() => []));
  return (await Promise.all(listings)).some((names) => names.length > 0);
}

/** Where the embedded model may be: in the package, where a bundler copied it to, or beside the bundle. */
export function embeddedModel(): string[] {
  const urls: string[] = [];
  try {
    urls.push(new URL('../../dist/tiny.safetensors', import.meta.url).href); // what bundlers look for
  } catch {} // a bundle that does not know where it is
  const folder = here().slice(0, here().lastIndexOf('/') + 1); // bundlers leave this alone
  if (folder)
    for (const path of ['../../dist/', '']) urls.push(new URL(`${folder}${path}tiny.safetensors`).href);
  return [...new Set(urls)].filter((url) => URL.canParse(url)); // Next.js makes the first a path of the site
}

/** A location that means the same in a worker: paths do. */
export function absoluteLocation(location: string): string {
  return location;
}
