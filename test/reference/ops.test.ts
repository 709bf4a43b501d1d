import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import { erf } from '../../src/backends/reference/ops/activation.ts';
import type { Executor, Output, Segment } from '../../src/backends/types.ts';
import type { OpCall } from '../../src/ops/index.ts';
import type { Program } from '../../src/ops/program.ts';
import { F32, floatTensor } from '../helpers/tensors.ts';

interface Setup {
  calls: OpCall[];
  buffers?: Record<string, number[][]>; // rows by buffer, whose width is the first row's
  weights?: Record<string, number[] | number[][]>;
  states?: Program['states'];
  segments?: Segment[];
  ids?: number[];
  outputs?: Output[];
}

/** Runs one step of a program written out in numbers. */
async function run(setup: Setup) {
  const { calls, buffers = {}, weights = {}, states = {}, outputs = [] } = setup;
  const rows = Object.values(buffers)[0]?.length ?? setup.ids!.length;
  const segments = setup.segments ?? [{ slot: 0, position: 0, rows }];
  const role = (values: number[] | number[][]) => (Array.isArray(values[0]) ? 'linear' : 'vector');
  const program: Program = {
    calls,
    states,
    buffers: Object.fromEntries(Object.entries(buffers).map(([name, x]) => [name, { width: x[0]!.length }])),
    weights: Object.fromEntries(
      Object.entries(weights).map(([name, w]) => [
        name,
        { shape: Array.isArray(w[0]) ? [w.length, w[0].length] : [w.length], role: role(w) },
      ]),
    ),
    vocabSize: 4,
    chunk: rows,
    maxContext: Number.POSITIVE_INFINITY,
  };
  const formats = Object.fromEntries(Object.keys(weights).map((name) => [name, F32]));
  const executor = await reference.create(program, formats, { slots: 2, numerics: 'exact', threads: 1 });
  for (const [name, w] of Object.entries(weights)) {
    const values = Float32Array.from(w.flat());
    executor.sink(name).put(0, floatTensor(values, Array.isArray(w[0]) ? w[0].length : w.length));
  }
  await executor.ready();
  for (const [name, x] of Object.entries(buffers))
    await executor.writeBuffer(name, Float32Array.from(x.flat()));
  const ids = Int32Array.from(setup.ids ?? new Array(rows).fill(0));
  const results = await executor.step({ ids, segments, outputs });
  return { executor, results, y: () => executor.readBuffer('y').then((y) => Array.from(y)) };
}

const v = (buffer: string, width: number, offset = 0) => ({ buffer, offset, width });
const close = (found: ArrayLike<number>, expected: number[]) => {
  expect(found.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(found[i]!).toBeCloseTo(value, 5);
  });
};
const state = async (executor: Executor, name: string, position: number) =>
  Array.from((await executor.readSlot(0, position))[name]!);

describe('reference ops against numbers worked out by hand', () => {
  test('embed picks and scales rows', async () => {
    const { y } = await run({
      calls: [{ op: 'embed', table: 't', y: v('y', 2), scale: 2 }],
      weights: {
        t: [
          [1, 2],
          [3, 4],
          [5, 6],
          [7, 8],
        ],
      },
      buffers: {
        y: [
          [0, 0],
          [0, 0],
        ],
      },
      ids: [2, 0],
    });
    expect(await y()).toEqual([10, 12, 2, 4]);
  });

  test('norm_linear divides by the root mean square', async () => {
    const call = {
      op: 'norm_linear',
      x: v('x', 2),
      w: 'w',
      b: 'b',
      y: v('y', 1),
      eps: 1e-12,
      scale: 2,
    } as const;
    const buffers = { x: [[3, 4]], y: [[0]] };
    const weights = { g: [1, 2], w: [[1, 1]], b: [0.5] };
    const normed = await run({ calls: [{ ...call, g: 'g' }], buffers, weights });
    close(await normed.y(), [2 * (11 / Math.sqrt(12.5) + 0.5)]);
    const plain = await run({ calls: [call], buffers, weights });
    close(await plain.y(), [2 * (7 + 0.5)]);
    const large = await run({ calls: [{ ...call, g: 'g', eps: 12.5 }], buffers, weights });
    close(await large.y(), [2 * (11 / 5 + 0.5)]);
  });

  test('linear_residual adds to the residual, in place too', async () => {
    const { executor } = await run({
      calls: [
        { op: 'linear_residual', x: v('x', 2), w: 'w', residual: v('r', 2, 1), y: v('r', 2, 1), scale: 10 },
      ],
      buffers: { x: [[1, 2]], r: [[7, 100, 200]] },
      weights: {
        w: [
          [1, 1],
          [0, -1],
        ],
      },
    });
    expect(Array.from(await executor.readBuffer('r'))).toEqual([7, 130, 180]);
  });

  test('conv1d reaches back k − 1 rows, to zeros before the start', async () => {
    const { executor, y } = await run({
      calls: [
        { op: 'conv1d', x: v('x', 1), weight: 'w', bias: 'b', state: 's', y: v('y', 1), activation: 'none' },
      ],
      buffers: { x: [[1], [10], [100], [1000]], y: [[0], [0], [0], [0]] },
      weights: { w: [[3, 2, 1]], b: [0.5] },
      states: { s: { shape: [3, 1], layout: { ringAxis: 0 } } },
    });
    expect(await y()).toEqual([1.5, 12.5, 123.5, 1230.5]);
    expect(await state(executor, 's', 4)).toEqual([10, 100, 1000]);
  });

  test('ssd_scan decays, takes in and reads out', async () => {
    // softplus(dt + dt_bias) = ln 2 with dt + dt_bias = 0; A = −1: decay 1/2, dt = ln 2
    const { executor, y } = await run({
      calls: [
        {
          op: 'ssd_scan',
          x: v('x', 2),
          B: v('B', 2),
          C: v('C', 2),
          dt: v('dt', 1),
          dtBias: 'dtBias',
          A: 'A',
          D: 'D',
          state: 's',
          y: v('y', 2),
          ngroups: 1,
          dtMin: 0,
          dtMax: Number.POSITIVE_INFINITY,
        },
      ],
      buffers: {
        x: [
          [1, 2],
          [3, 0],
        ],
        B: [
          [1, 0],
          [0, 1],
        ],
        C: [
          [1, 1],
          [1, 2],
        ],
        dt: [[1], [1]],
        y: [
          [0, 0],
          [0, 0],
        ],
      },
      weights: { dtBias: [-1], A: [-1], D: [10] },
      states: { s: { shape: [1, 2, 2], layout: 'dense' } },
    });
    const l = Math.LN2;
    // H after row 0: [[l, 0], [2l, 0]]; after row 1: [[l/2, 3l], [l, 0]]
    close(await y(), [l + 10, 2 * l + 20, l / 2 + 6 * l + 30, l]);
    close(await state(executor, 's', 2), [l / 2, 3 * l, l, 0]);
  });

  test('ssd_scan clamps dt, shares B and C by group, and knows D per channel', async () => {
    const { y } = await run({
      calls: [
        {
          op: 'ssd_scan',
          x: v('x', 4),
          B: v('B', 2),
          C: v('C', 2),
          dt: v('dt', 4),
          dtBias: 'dtBias',
          A: 'A',
          D: 'D',
          state: 's',
          y: v('y', 4),
          ngroups: 2,
          dtMin: 0.5,
          dtMax: 2,
        },
      ],
      buffers: { x: [[1, 1, 1, 1]], B: [[1, 10]], C: [[1, 1]], dt: [[-50, 1.5, 30, 30]], y: [[0, 0, 0, 0]] },
      weights: { dtBias: [0, 0, 0, -29], A: [-1, -1, -1, -1], D: [0, 0, 0, 100] },
      states: { s: { shape: [4, 1, 1], layout: 'dense' } },
    });
    close(await y(), [0.5, Math.log1p(Math.exp(1.5)), 20, 10 * Math.log1p(Math.E) + 100]);
  });

  test('gate_norm in its three modes, by group', async () => {
    const silu2 = 2 / (1 + Math.exp(-2));
    const buffers = { x: [[3, 4, 1, 1]], z: [[2, 2, 0, 0]], y: [[0, 0, 0, 0]] };
    const call = {
      op: 'gate_norm',
      x: v('x', 4),
      z: v('z', 4),
      y: v('y', 4),
      ngroups: 2,
      eps: 1e-12,
    } as const;
    const weights = { g: [1, 1, 5, 5] };
    const rms = Math.sqrt(12.5);
    const first = await run({ calls: [{ ...call, mode: 'norm_then_gate', g: 'g' }], buffers, weights });
    close(await first.y(), [(3 / rms) * silu2, (4 / rms) * silu2, 0, 0]);
    const last = await run({ calls: [{ ...call, mode: 'gate_then_norm', g: 'g' }], buffers, weights });
    close(await last.y(), [3 / rms, 4 / rms, 0, 0]);
    const bare = await run({ calls: [{ ...call, mode: 'gate' }], buffers });
    close(await bare.y(), [3 * silu2, 4 * silu2, 0, 0]);
  });

  test('activation: published values of erf, gated and squared', async () => {
    // Abramowitz & Stegun, table 7.1
    for (const [x, value] of [
      [0.5, 0.5204998778],
      [1, 0.8427007929],
      [2, 0.995322265],
      [2.5, 0.999593048],
      [3, 0.9999779095],
    ]) {
      expect(erf(x!)).toBeCloseTo(value!, 9);
      expect(erf(-x!)).toBeCloseTo(-value!, 9);
    }
    const buffers = { x: [[-2, 0, 3]], g: [[1, 2, -3]], y: [[0, 0, 0]] };
    const of = async (call: object) =>
      (
        await run({ calls: [{ op: 'activation', x: v('x', 3), y: v('y', 3), ...call } as OpCall], buffers })
      ).y();
    close(await of({ kind: 'relu2' }), [0, 0, 9]);
    close(await of({ kind: 'relu2', gate: v('g', 3) }), [-2, 0, 0]);
    close(await of({ kind: 'gelu' }), [-0.0455003, 0, 2.9959503]);
    close(await of({ kind: 'silu' }), [-0.2384058, 0, 2.8577224]);
  });

  test('window_attention sees its window and no more', async () => {
    const { executor, y } = await run({
      calls: [
        {
          op: 'window_attention',
          q: v('q', 2),
          k: v('k', 1),
          v: v('v', 1),
          state: 's',
          y: v('y', 2),
          heads: 2,
          kvHeads: 1,
          window: 2,
          scale: 1,
        },
      ],
      buffers: {
        q: [
          [0, 0],
          [0, 1],
          [0, 1],
        ],
        k: [[0], [0], [Math.log(3)]],
        v: [[8], [4], [12]],
        y: [
          [0, 0],
          [0, 0],
          [0, 0],
        ],
      },
      states: { s: { shape: [2, 4, 1], layout: { ringAxis: 1 } } },
    });
    close(await y(), [8, 8, 6, 6, 8, 4 / 4 + 12 * (3 / 4)]);
    close(await state(executor, 's', 3), [0, 0, 0, Math.log(3), 0, 8, 4, 12]);
  });

  test('logits: only for the rows asked for, and log-probabilities', async () => {
    const { results } = await run({
      calls: [{ op: 'logits', x: v('x', 1), g: 'g', w: 'w', eps: 1e-12 }],
      buffers: { x: [[5], [-5]] },
      weights: { g: [Math.log(2)], w: [[0], [1], [2], [0]] },
      outputs: [
        { row: 0, target: 1 },
        { row: 1, logits: true },
      ],
    });
    expect(results[0]!.logits).toBeUndefined();
    expect(results[0]!.target).toBeCloseTo(Math.log(2 / 8), 6);
    close(results[1]!.logits!, [0, -Math.LN2, -2 * Math.LN2, 0]);
  });
});
