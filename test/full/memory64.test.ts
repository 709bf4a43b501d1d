import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { mamba2Program } from '../../bench/shapes.ts';
import type { Executor } from '../../src/backends/types.ts';
import { detectMemory64 } from '../../src/backends/wasm/variants.ts';
import { checkProgram, type Program } from '../../src/ops/program.ts';
import type { QuantTensor, Tensor } from '../../src/types.ts';
import { missing, runtimeBinary } from '../helpers/provided.ts';
import { floatTensor, formatsOf, quant } from '../helpers/tensors.ts';
import { variant } from '../wasm/host.ts';

const GIB = 2 ** 30;
const Q4 = quant(4, 32);
const PROMPT = [11, 7, 23_456, 3, 50_000];

/** What is left of a program with some of its calls. */
function part(program: Program, begin: number, end?: number): Program {
  const calls = program.calls.slice(begin, end);
  const text = JSON.stringify(calls);
  const used = <T>(all: Readonly<Record<string, T>>) =>
    Object.fromEntries(Object.entries(all).filter(([name]) => text.includes(JSON.stringify(name))));
  const left = { ...program, calls, weights: used(program.weights), states: used(program.states) };
  checkProgram(left);
  return left;
}

const NOISE = Uint8Array.from({ length: 2 ** 20 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 17);
const HALVES = Uint16Array.from({ length: 2 ** 18 }, (_, i) => 0x1800 + (Math.imul(i + 1, 40503) & 0x3ff));

/** Rows of a weight that depend on its name and nothing else: of every row's numbers, on its place, too. */
function rowsOf(name: string, row: number, rows: number, cols: number): QuantTensor {
  let seed = row;
  for (const char of name) seed = (Math.imul(seed, 31) + char.charCodeAt(0)) >>> 0;
  const [codes, numbers] = [(rows * cols) / 2, (rows * cols) / 32];
  const at = (seed * 16) % (NOISE.length - codes);
  const scaleAt = seed % (HALVES.length - numbers);
  return {
    format: Q4,
    rows,
    cols,
    q: NOISE.subarray(at, at + codes),
    scale: HALVES.subarray(scaleAt, scaleAt + numbers),
    bias: null,
  };
}

function vectorOf(program: Program, name: string, length: number, cols: number): Tensor {
  const decays = program.calls.some((call) => call.op === 'ssd_scan' && call.A === name);
  const values = Float32Array.from({ length }, (_, i) => {
    const noise = NOISE[(i * 7 + name.length * 1013) % NOISE.length]! / 256;
    return decays ? -1 - 8 * noise : noise - 0.3;
  });
  return floatTensor(values, cols);
}

async function start(program: Program, memory64: boolean): Promise<Executor> {
  const formats = formatsOf(program, Q4);
  const backend = variant('relaxed', memory64 ? {} : { memory64: false });
  const executor = await backend.create(program, formats, { slots: 1, numerics: 'i8', threads: 2 });
  for (const [name, { role, shape }] of Object.entries(program.weights)) {
    const [rows, cols = 1] = shape as [number, number?];
    if (role === 'vector') {
      executor.sink(name).put(0, vectorOf(program, name, rows * cols, shape.at(-1)!));
      continue;
    }
    for (let row = 0; row < rows; row += 128)
      executor.sink(name).put(row, rowsOf(name, row, Math.min(128, rows - row), cols));
  }
  await executor.ready();
  return executor;
}

const outputs = (rows: number) => [{ row: rows - 1, logits: true }];
const bits = (values: Float32Array) => new Uint32Array(values.slice().buffer);

if (detectMemory64())
  test('a model of more than 4 GiB decodes, with the bits of its two halves below 4 GiB', async () => {
    const program = mamba2Program(4096, 84, 8); // 8.8 B parameters
    const large = await start(program, true);
    expect(large.info.variant).toBe('relaxed SIMD, threads, memory64');
    expect(large.memory.weightBytes).toBeGreaterThan(4.4 * GIB);
    const steps: Int32Array[] = [];
    const expected: Uint32Array[] = [];
    for (let position = 0, ids = Int32Array.from(PROMPT); steps.length < 4; position += ids.length) {
      if (position > 0) ids = Int32Array.of(largest(expected.at(-1)!));
      const segments = [{ slot: 0, position, rows: ids.length }];
      const [found] = await large.step({ ids, segments, outputs: outputs(ids.length) });
      steps.push(ids);
      expected.push(bits(found!.logits!));
    }
    await large.dispose();
    expect(new Set(expected.map((words) => words.join())).size).toBe(4);

    const middle = program.calls.findIndex(
      (call, i) => i > program.calls.length / 2 && call.op === 'norm_linear',
    );
    const carried: Record<string, Float32Array>[] = [];
    const halves = [part(program, 0, middle), part(program, middle)];
    for (const [half, calls] of halves.entries()) {
      const executor = await start(calls, false);
      expect(executor.memory.totalBytes).toBeLessThan(4 * GIB);
      for (let i = 0, position = 0; i < steps.length; position += steps[i++]!.length) {
        const ids = steps[i]!;
        const segments = [{ slot: 0, position, rows: ids.length }];
        for (const [name, values] of Object.entries(carried[i] ?? {}))
          await executor.writeBuffer(name, values);
        const [found] = await executor.step({ ids, segments, outputs: half ? outputs(ids.length) : [] });
        if (half) expect(bits(found!.logits!).join(), `step ${i}`).toBe(expected[i]!.join());
        carried[i] = {};
        for (const name of Object.keys(program.buffers)) carried[i]![name] = await executor.readBuffer(name);
      }
      await executor.dispose();
    }
  }, 900_000);
else
  test('on Node 24, which has memory64', (context) => {
    const obstacle = missing('node-24');
    if (obstacle) context.skip(`SKIP: ${obstacle}`);
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const line = [`${root}node_modules/vitest/vitest.mjs`, 'run', fileURLToPath(import.meta.url)];
    const env = { ...process.env, EDGE_SSM_FULL: '1', VITEST: undefined };
    execFileSync(runtimeBinary('node-24'), line, { cwd: root, env, stdio: 'pipe' }); // throws what it printed
  }, 900_000);

/** The index of the largest float, all of which are finite. */
function largest(words: Uint32Array): number {
  const values = new Float32Array(words.buffer);
  expect(values.every(Number.isFinite)).toBe(true);
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}
