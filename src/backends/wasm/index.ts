import { EdgeError } from '../../errors.ts';
import type { Program } from '../../ops/program.ts';
import { checkProgram } from '../../ops/program.ts';
import { checkBudget } from '../common/checks.ts';
import type { Backend, ExecutorOptions, WeightFormats } from '../types.ts';
import { type Parts, WasmExecutor } from './executor.ts';
import { type Layout, layOut } from './layout.ts';
import { addressOf, createMemory, REACH } from './memory.ts';
import { instantiate } from './module.ts';
import { sum16IsFaster } from './probe_dot.ts';
import { MAX_THREADS, type SpawnThread, ThreadPool } from './thread_pool.ts';
import { ThreadTuner } from './thread_tuner.ts';
import {
  detectAtomics,
  detectMemory64,
  detectSimd,
  type ModuleName,
  moduleName,
  type Simd,
  wasmObstacle,
} from './variants.ts';

export { prepareThread } from './thread.ts';
export type { SpawnThread, Thread, ThreadData } from './thread_pool.ts';
export type { ModuleName, Simd } from './variants.ts';

/** Functions that the runtime and the embedder of the modules provide. */
export interface WasmHost {
  /** The bytes of a module of wasm/modules; called when it is needed. */
  module(name: ModuleName): Promise<Uint8Array<ArrayBuffer>>;
  /** Null where there are no threads. */
  spawnThread: SpawnThread | null;
  cores: number;
  /** Can a memory be shared between threads (in pages: cross-origin isolation), and may this thread block? */
  canShareMemory: boolean;
  canBlock: boolean;
  device: string; // 'Node.js 22.1.0'
}

/** For tests and benchmarks: what is otherwise detected. */
export interface WasmOverrides {
  simd?: Simd;
  threaded?: boolean; // take the threaded module even for one thread, or never
  memory64?: boolean; // 64-bit addresses for whatever size, or never
  gap?: number; // bytes between the regions of the memory
  lift?: number; // bytes left out below its weights
  allThreads?: boolean; // in every step, however slow
  sum16?: boolean; // sums of 16 bits for integer dots, whichever is faster
  wrap?: (parts: Parts) => Parts; // sees and may replace what the executor is made of
}

/** The WASM backend. `options.threads` 0 lets it choose. */
export function wasmBackend(host: WasmHost, overrides: WasmOverrides = {}): Backend {
  const modules = new Map<ModuleName, Promise<WebAssembly.Module>>(); // compiled once
  const compiled = (name: ModuleName) => {
    const known = modules.get(name);
    if (known) return known;
    const module = host.module(name).then((bytes) => WebAssembly.compile(bytes));
    modules.set(name, module);
    module.catch(() => modules.delete(name)); // bytes that could not be fetched may come the next time
    return module;
  };
  const plan = (program: Program, formats: WeightFormats, options: ExecutorOptions) =>
    choose(host, overrides, program, formats, options).layout.plan;
  return {
    name: 'wasm',
    async unavailable() {
      const obstacle = wasmObstacle();
      if (obstacle) return obstacle;
      if (overrides.memory64) return memory64Obstacle(overrides.simd ?? detectSimd().simd);
      if (overrides.simd === undefined || overrides.simd === 'scalar') return null;
      const order: Simd[] = ['scalar', 'simd', 'relaxed'];
      const best = detectSimd();
      return order.indexOf(overrides.simd) <= order.indexOf(best.simd) ? null : best.why;
    },
    plan,
    async create(program, formats, options) {
      checkProgram(program);
      const choice = choose(host, overrides, program, formats, options);
      checkReach(choice);
      checkBudget('WASM', choice.layout.plan.totalBytes, options.memoryBudget);
      const parts = await start(host, compiled, choice, options, overrides);
      return new WasmExecutor(overrides.wrap?.(parts) ?? parts);
    },
  };
}

interface Choice {
  simd: Simd;
  threaded: boolean;
  memory64: boolean;
  layout: Layout;
  why: string;
}

/** Why a memory cannot have 64-bit addresses, or null. */
function memory64Obstacle(simd: Simd): string | null {
  if (!detectMemory64()) return 'this runtime has none of 64-bit addresses';
  return simd === 'relaxed' ? null : 'one of 64-bit addresses needs relaxed SIMD';
}

/** Throws OUT_OF_MEMORY if no memory can have the size that the model needs. */
function checkReach({ simd, memory64, layout: { plan } }: Choice): void {
  const obstacle = memory64 ? memory64Obstacle(simd) : null;
  const reach = memory64 && !obstacle ? REACH.memory64 : REACH.memory32;
  if (!obstacle && plan.totalBytes <= reach) return;
  throw new EdgeError(
    'OUT_OF_MEMORY',
    `The model needs ${plan.totalBytes} bytes; a WebAssembly memory holds ${reach}${obstacle ? `, and ${obstacle}` : ''}: quantize further, lower maxSessions, or use a GPU backend`,
  );
}

/** Which module, how many threads, and the memory that follows from it. */
function choose(
  host: WasmHost,
  overrides: WasmOverrides,
  program: Program,
  formats: WeightFormats,
  { slots, numerics, threads }: ExecutorOptions,
): Choice {
  if (!(Number.isInteger(threads) && threads >= 0 && threads <= MAX_THREADS))
    throw new EdgeError(
      'INVALID_ARGUMENT',
      `threads must be an integer from 0 (choose) to ${MAX_THREADS}, found ${threads}`,
    );
  const { simd, why } = overrides.simd
    ? { simd: overrides.simd, why: `${overrides.simd} module as asked for` }
    : detectSimd();
  const { gap = 0, lift = 0 } = overrides;
  const alone = layOut(program, formats, { slots, numerics, threads: 1, gap, lift });
  const obstacle = threadObstacle(host, overrides);
  const wanted = threads || defaultThreads(host.cores, alone.plan.weightBytes);
  const count = obstacle ? 1 : wanted;
  const threaded = obstacle === null && (overrides.threaded ?? count > 1);
  const layout =
    count === 1 ? alone : layOut(program, formats, { slots, numerics, threads: count, gap, lift });
  const memory64 = overrides.memory64 ?? layout.plan.totalBytes > REACH.memory32;
  return {
    simd,
    threaded,
    memory64,
    layout,
    why: `${why}${memory64 ? '; more than 4 GiB: 64-bit addresses' : ''}; ${threadReason(obstacle, threads, count, host.cores)}`,
  };
}

/** Weights below this are read faster than threads meet. */
const SMALL_BYTES = 4 * 2 ** 20;

/** Every core of small machines; of large ones, where logical cores share physical ones, at most half and 8. */
function defaultThreads(cores: number, weightBytes: number): number {
  if (weightBytes < SMALL_BYTES) return 1;
  return cores <= 4 ? Math.max(1, cores) : Math.min(8, Math.max(4, cores >> 1));
}

function threadObstacle(host: WasmHost, overrides: WasmOverrides): string | null {
  if (overrides.threaded === false) return 'threads are off';
  if (!host.spawnThread) return 'this runtime starts no threads';
  if (!host.canShareMemory) return 'memory cannot be shared here (pages need COOP and COEP headers)';
  if (!host.canBlock) return 'this thread may not wait for others';
  return detectAtomics() ? null : 'this runtime has no atomics';
}

function threadReason(obstacle: string | null, asked: number, count: number, cores: number): string {
  if (obstacle) return `1 thread: ${obstacle}`;
  const threads = count === 1 ? '1 thread' : `${count} threads`;
  if (asked > 0) return `${threads} as asked for`;
  return count === 1 && cores > 1 ? '1 thread: the model is small' : `${threads} for ${cores} cores`;
}

async function start(
  host: WasmHost,
  compiled: (name: ModuleName) => Promise<WebAssembly.Module>,
  choice: Choice,
  { numerics }: ExecutorOptions,
  overrides: WasmOverrides,
): Promise<Parts> {
  const { simd, threaded, memory64, layout, why } = choice;
  const memory = createMemory(layout.plan.totalBytes, { shared: threaded || memory64, memory64 });
  const module = await compiled(moduleName(simd, threaded, memory64));
  const kernels = await instantiate(module, memory);
  const pool =
    host.spawnThread && layout.threads > 1
      ? new ThreadPool(host.spawnThread, { module, memory, pool: addressOf(layout.pool) }, layout.stacks)
      : null;
  const sum16 = overrides.sum16 ?? (numerics === 'i8' && sum16IsFaster(kernels, addressOf(layout.step)));
  const info = {
    backend: 'wasm' as const,
    variant: `${simd === 'relaxed' ? 'relaxed SIMD' : simd === 'simd' ? 'SIMD' : 'scalar'}${threaded ? ', threads' : ''}${memory64 ? ', memory64' : ''}`,
    device: `${host.device}, ${host.cores} cores`,
    why: sum16 ? `${why}; integer dots with sums of 16 bits are faster here` : why,
    numerics,
  };
  return {
    layout,
    memory,
    kernels,
    pool,
    info,
    tuner: overrides.allThreads ? null : new ThreadTuner(),
    sum16,
  };
}
