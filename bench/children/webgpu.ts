/** Times models of real shapes, with random weights, on the WebGPU backend. Prints JSON. */
import { type Executor, MAX_AHEAD, UPLOAD_ROWS } from '../../src/backends/types.ts';
import { webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { pseudoRandomBits } from '../../src/engine/selftest/metrics.ts';
import { runOpSelfTest } from '../../src/engine/selftest/op_self_test.ts';
import type { Program } from '../../src/ops/program.ts';
import { GREEDY } from '../../src/ops/sample.ts';
import { findGpu, runtimeName } from '../../src/runtime/node.ts';
import type { Tensor } from '../../src/types.ts';
import { mamba2Program, VOCAB } from '../shapes.ts';
import { type Inside, timeKernels } from './webgpu_kernels.ts';

interface Arguments {
  models: Record<string, { dModel: number; nLayer: number }>;
  chunk: number;
  prefill: number; // tokens
  lengths: number[]; // of prompts
  decode: number; // tokens
  sessions: number;
  long: number; // tokens that are decoded before the speed is measured again; 0: none
}
const { models, chunk, prefill, lengths, decode, sessions, long } = JSON.parse(process.argv[2]!) as Arguments;
const Q4 = { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: false } as const;
const F32 = { kind: 'float', dtype: 'f32' } as const;
/** WebGPU whose devices can tell the time. */
async function timedGpu(): Promise<GPU | string> {
  const gpu = await findGpu();
  if (typeof gpu === 'string') return gpu;
  return new Proxy(gpu, {
    get: (_, name) =>
      name === 'requestAdapter'
        ? async (options: GPURequestAdapterOptions) => {
            const adapter = await gpu.requestAdapter(options);
            if (!adapter?.features.has('timestamp-query')) return adapter;
            const request = adapter.requestDevice.bind(adapter);
            adapter.requestDevice = (descriptor) =>
              request({
                ...descriptor,
                requiredFeatures: [...(descriptor?.requiredFeatures ?? []), 'timestamp-query'],
              });
            return adapter;
          }
        : Reflect.get(gpu, name),
  });
}

/** The same random codes again and again: speed does not depend on values. */
function uploadRandom(executor: Executor, program: Program): void {
  const widest = Math.max(...Object.values(program.weights).map(({ shape }) => shape.at(-1)!));
  const bits = pseudoRandomBits();
  const codes = Uint8Array.from({ length: (UPLOAD_ROWS * widest) / 2 }, () => bits() >>> 16);
  const scales = new Uint16Array((UPLOAD_ROWS * widest) / 32).fill(0x1400); // 2^-10
  for (const [name, { shape, role }] of Object.entries(program.weights)) {
    const [rows, cols] = shape.length > 1 ? (shape as [number, number]) : [1, shape[0]!];
    const value = name.endsWith('.A') ? -1 : 1;
    for (let row = 0; row < rows; row += UPLOAD_ROWS) {
      const n = Math.min(UPLOAD_ROWS, rows - row);
      const tensor: Tensor =
        role === 'vector'
          ? { format: F32, rows: n, cols, data: new Float32Array(n * cols).fill(value) }
          : {
              format: Q4,
              rows: n,
              cols,
              q: codes.subarray(0, (n * cols) / 2),
              scale: scales.subarray(0, (n * cols) / 32),
              bias: null,
            };
      executor.sink(name).put(row, tensor);
    }
  }
}

const seconds = async (run: () => Promise<unknown>) => {
  const begin = performance.now();
  await run();
  return (performance.now() - begin) / 1000;
};
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

async function decodeRate(executor: Executor, slots: number, tokens: number, ahead: number): Promise<number> {
  const rates: number[] = [];
  let position = 1;
  for (let done = 0; done < tokens; done += ahead) {
    const step = {
      ids: new Int32Array(slots).fill(7),
      segments: Array.from({ length: slots }, (_, slot) => ({ slot, position, rows: 1 })),
      outputs: Array.from({ length: slots }, (_, row) => ({ row, sample: { ...GREEDY, position } })),
    };
    const time = await seconds(() => (ahead > 1 ? executor.stepAhead!(step, ahead) : executor.step(step)));
    rates.push((slots * ahead) / time);
    position += ahead;
  }
  return median(rates);
}

/** Seconds. */
async function prefillTime(executor: Executor, tokens: number): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    await executor.resetSlot(0);
    const time = await seconds(async () => {
      for (let position = 0; position < tokens; position += chunk) {
        const rows = Math.min(chunk, tokens - position);
        const last = position + rows === tokens;
        await executor.step({
          ids: Int32Array.from({ length: rows }, (_, i) => (position + i) % VOCAB),
          segments: [{ slot: 0, position, rows }],
          outputs: last ? [{ row: rows - 1, sample: { ...GREEDY, position: tokens } }] : [],
        });
      }
    });
    times.push(time);
  }
  return median(times);
}

/** Milliseconds until a copy of a slot is there. */
async function forkTime(executor: Executor): Promise<number> {
  const { device } = executor as unknown as { device: { settle(): Promise<void> } };
  const times: number[] = [];
  for (let i = 0; i < 50; i++)
    times.push(
      1000 *
        (await seconds(async () => {
          await executor.copySlot(0, 1);
          await device.settle();
        })),
    );
  return median(times);
}

const backend = webgpuBackend({ gpu: timedGpu, device: runtimeName() });
const known = await runOpSelfTest(backend, 'i8');
if (!known.ok) throw new Error(`The self-test of this device fails, nothing is timed: ${known.detail}`);

/** A model with random weights, warm. */
async function load(program: Program, slots: number): Promise<Executor> {
  const formats = Object.fromEntries(
    Object.entries(program.weights).map(([weight, { role }]) => [weight, role === 'vector' ? F32 : Q4]),
  );
  const executor = await backend.create(program, formats, { slots, numerics: 'i8', threads: 0 });
  uploadRandom(executor, program);
  await executor.ready();
  await decodeRate(executor, 1, 4 * MAX_AHEAD, MAX_AHEAD);
  return executor;
}

/** What one session gets; a second slot is for its forks. */
async function timeOne(program: Program) {
  const executor = await load(program, 2);
  const { device, variant } = executor.info;
  const result = {
    device,
    variant,
    memory: executor.memory,
    decode: await decodeRate(executor, 1, decode, MAX_AHEAD),
    oneByOne: await decodeRate(executor, 1, 64, 1),
    prefill: prefill / (await prefillTime(executor, prefill)),
    prompts: {} as Record<number, number>, // ms, by length
    forkMs: await forkTime(executor),
    ...(await timeKernels(executor as unknown as Inside, 1)),
    prefillKernels: (await timeKernels(executor as unknown as Inside, chunk)).kernels,
    afterLong: undefined as number | undefined,
  };
  for (const length of lengths) result.prompts[length] = 1000 * (await prefillTime(executor, length));
  if (long > 0) {
    await decodeRate(executor, 1, long, MAX_AHEAD);
    result.afterLong = await decodeRate(executor, 1, decode, MAX_AHEAD);
  }
  await executor.dispose();
  return result;
}

async function timeSessions(program: Program) {
  if (sessions < 2) return {};
  const executor = await load(program, sessions);
  const rate = await decodeRate(executor, sessions, 8 * MAX_AHEAD, MAX_AHEAD);
  const { kernels } = await timeKernels(executor as unknown as Inside, sessions, sessions);
  await executor.dispose();
  return { sessions: rate, sessionsKernels: kernels };
}

const results: unknown[] = [];
for (const [model, { dModel, nLayer }] of Object.entries(models)) {
  const program = mamba2Program(dModel, nLayer, chunk);
  results.push({ model, ...(await timeOne(program)), ...(await timeSessions(program)) });
}
console.log(JSON.stringify(results));
