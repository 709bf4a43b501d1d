/** Times each op of a model's step on the WASM backend, and reading memory in the same runtime. Prints JSON. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Executor } from '../../src/backends/types.ts';
import { type SpawnThread, type WasmHost, wasmBackend } from '../../src/backends/wasm/index.ts';
import { addressOf } from '../../src/backends/wasm/memory.ts';
import { structs, writeFields } from '../../src/backends/wasm/structs.ts';
import { loadEngine } from '../../src/engine/load.ts';
import type { Numerics } from '../../src/types.ts';
import { memoryToRead, readAll } from './read.ts';

interface Arguments {
  file: string;
  threads: string;
  numerics: Numerics;
  rows: number;
  lengths?: number[]; // of prompts
}
const {
  file,
  threads: threadsText,
  numerics,
  rows,
  lengths = [],
} = JSON.parse(process.argv[2]!) as Arguments;
const threads = Number(threadsText);
const script = new URL('./bench-thread.js', import.meta.url);

const spawnThread: SpawnThread = (pool, failed) => {
  const worker = new Worker(script);
  worker.on('error', failed);
  return new Promise((resolve) => {
    worker.once('message', () => resolve({ terminate: async () => void (await worker.terminate()) }));
    worker.postMessage({ pool });
  });
};
const modules = fileURLToPath(new URL('../../../../wasm/modules/', import.meta.url));
const host: WasmHost = {
  module: async (name) => new Uint8Array(readFileSync(`${modules}${name}.wasm`)),
  spawnThread,
  cores: threads,
  canShareMemory: true,
  canBlock: true,
  device: process.version,
};

type Parts = Parameters<NonNullable<NonNullable<Parameters<typeof wasmBackend>[1]>['wrap']>>[0];
const made: { parts: Parts; executor: Executor | null }[] = []; // the model's, and those of self-tests
let inside = 0; // ms in the module
const inner = wasmBackend(host, {
  allThreads: true,
  wrap: (parts) => {
    const { step } = parts.kernels;
    const timed: typeof step = (...args) => {
      const begin = performance.now();
      const lost = step(...args);
      inside += performance.now() - begin;
      return lost;
    };
    made.push({ parts: { ...parts, kernels: { ...parts.kernels, step: timed } }, executor: null });
    return made.at(-1)!.parts;
  },
});
const backend = {
  ...inner,
  create: async (...args: Parameters<typeof inner.create>) => {
    const executor = await inner.create(...args);
    made.at(-1)!.executor = executor;
    return executor;
  },
};

const engine = await loadEngine(file, { threads, numerics, maxSessions: 1 }, { backends: [backend] });
if (!(await engine.selfTest()).ok) throw new Error('The self-test of this device fails: nothing is timed');
const { parts, executor } = made.find((one) => one.executor?.memory.totalBytes === engine.info.totalBytes)!;

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** Every call of a step, alone: ms, medians. Throws unless the calls one by one give what the step gives. */
async function timeCalls() {
  const { layout, kernels, memory } = parts;
  const words = new Uint32Array(memory.buffer, layout.step, structs.step.WORDS);
  const target = new Float32Array(memory.buffer, layout.outputs + 4 * structs.output.target_logprob, 1);
  const ids = Int32Array.from({ length: rows }, (_, i) => (i * 7919 + 1) % 1000);
  await executor!.resetSlot(0);
  const [whole] = await executor!.step({
    ids,
    segments: [{ slot: 0, position: 0, rows }],
    outputs: [{ row: rows - 1, target: 1 }],
  });
  await executor!.resetSlot(0);
  target[0] = Number.NaN;
  const calls = layout.callList;
  const times = calls.map(() => [] as number[]);
  const rounds = rows === 1 ? 30 : 6;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < calls.length; i++) {
      writeFields(words, structs.step, { first_call: i, last_call: i + 1, threads });
      const begin = performance.now();
      kernels.step(addressOf(layout.pool), addressOf(layout.step));
      times[i]!.push(performance.now() - begin);
    }
    if (round === 0 && target[0] !== whole!.target)
      throw new Error(`The calls one by one give ${target[0]}, the step ${whole!.target}: nothing is timed`);
  }
  return calls.map((call, i) => ({ call, ms: median(times[i]!) }));
}

const { program } = parts.layout;
const bytesOfWeight = (name: string): number => {
  const { weightBytes, parameters } = engine.info;
  const [out, inputs] = program.weights[name]!.shape;
  return out! * inputs! * (weightBytes / parameters); // the average bytes of a weight
};

const sums = new Map<string, { ms: number; bytes: number; operations: number }>();
for (const { call, ms } of await timeCalls()) {
  const sum = sums.get(call.op) ?? { ms: 0, bytes: 0, operations: 0 };
  sum.ms += ms;
  if (call.op === 'norm_linear' || call.op === 'linear_residual' || call.op === 'logits') {
    const [out, inputs] = program.weights[call.w]!.shape;
    sum.bytes += bytesOfWeight(call.w);
    sum.operations += 2 * out! * inputs! * (call.op === 'logits' ? 1 : rows);
  }
  if (call.op === 'ssd_scan') {
    const states = Object.values(program.states).filter((state) => state.layout === 'dense');
    const elements =
      states.reduce((n, state) => n + state.shape.reduce((a, b) => a * b, 1), 0) / states.length;
    sum.bytes += 8 * elements; // f32, read and written
    sum.operations += 5 * elements * rows;
  }
  sums.set(call.op, sum);
}

/** Bytes a second that all threads together read from memory of their own, best of five. */
async function bandwidth(): Promise<number> {
  const workers = Array.from({ length: threads - 1 }, () => new Worker(script));
  const answers = () =>
    Promise.all(workers.map((worker) => new Promise<void>((done) => worker.once('message', () => done()))));
  const own = memoryToRead();
  let best = 0;
  for (let round = 0; round < 6; round++) {
    const others = answers();
    const begin = performance.now();
    for (const worker of workers) worker.postMessage('read');
    readAll(own);
    await others;
    const bytes = threads * own.length;
    if (round > 0) best = Math.max(best, (1000 * bytes) / (performance.now() - begin));
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  return best;
}

/** The part of a decoded token's time that is spent outside the module, once engines have compiled what runs there. */
async function overhead(): Promise<number> {
  const generate = async (handle: number, maxTokens: number) => {
    await engine.startGeneration(handle, null, [1], { maxTokens, ignoreEos: true });
    await engine.nextBurst(handle);
    const [before, begin] = [inside, performance.now()];
    while (!(await engine.nextBurst(handle)).end);
    const whole = performance.now() - begin;
    return (whole - (inside - before)) / whole;
  };
  await generate(1, 800);
  return median([await generate(2, 200), await generate(3, 200), await generate(4, 200)]);
}

/** The steps of a prompt, in ms. */
async function prefillTime(length: number): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    await executor!.resetSlot(0);
    const begin = performance.now();
    for (let position = 0; position < length; position += program.chunk) {
      const count = Math.min(program.chunk, length - position);
      const last = position + count === length;
      await executor!.step({
        ids: Int32Array.from({ length: count }, (_, i) => ((position + i) * 7919 + 1) % 1000),
        segments: [{ slot: 0, position, rows: count }],
        outputs: last ? [{ row: count - 1, logits: true }] : [],
      });
    }
    times.push(performance.now() - begin);
  }
  return median(times);
}

const prompts: Record<number, number> = {};
for (const length of lengths) prompts[length] = await prefillTime(length);

const { weightBytes, slotBytes } = engine.info;
const result = {
  rows,
  threads,
  prompts,
  ops: [...sums].map(([op, sum]) => ({ op, ...sum })).sort((a, b) => b.ms - a.ms),
  overhead: rows === 1 ? await overhead() : 0,
  bytesPerToken: weightBytes + 2 * slotBytes,
  bandwidth: rows === 1 ? await bandwidth() : 0,
};
await engine.dispose();
console.log(JSON.stringify(result));
