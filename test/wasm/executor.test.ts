import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import { wasmBackend } from '../../src/backends/wasm/index.ts';
import type { EdgeError } from '../../src/errors.ts';
import { ops } from '../../src/ops/index.ts';
import { Random } from '../helpers/random.ts';
import { F32, floatTensor, quant } from '../helpers/tensors.ts';
import { type FixtureModel, greedyOf, openFixture } from '../models/golden.ts';
import { cases } from '../ops/cases.ts';
import { GREEDY } from '../ops/sample_cases.ts';
import { host, spawnThread, variant } from './host.ts';

const IDS = Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6);

async function withModel<T>(
  backend: Parameters<typeof openFixture>[0],
  options: Parameters<typeof openFixture>[2],
  action: (model: FixtureModel) => Promise<T>,
): Promise<T> {
  const model = await openFixture(backend, 'rene-a', options);
  try {
    return await action(model);
  } finally {
    await model.executor.dispose();
  }
}

const step = ({ executor }: FixtureModel, outputs = [{ row: IDS.length - 1, sample: GREEDY }]) =>
  executor.step({ ids: IDS, segments: [{ slot: 0, position: 0, rows: IDS.length }], outputs });

async function refusal(action: Promise<unknown>): Promise<EdgeError> {
  return action.then(
    () => Promise.reject(new Error('nothing was refused')),
    (error) => error,
  );
}

describe('the step contract', () => {
  test('ops are numbered in wasm/ops/list.h as in the registry', () => {
    const list = readFileSync(new URL('../../wasm/ops/list.h', import.meta.url), 'utf8');
    const found = Array.from(list.matchAll(/X\((\d+), (\w+)\)/g), ([, number, name]) => [
      Number(number),
      name,
    ]);
    expect(found).toEqual(Object.keys(ops).map((name, i) => [i, name]));
  });

  test('more outputs than one pass over the head takes', async () => {
    await withModel(variant('simd'), { chunk: 150 }, async (model) => {
      const { executor, program } = model;
      const ids = Int32Array.from({ length: 150 }, (_, i) => (i * 7) % program.vocabSize);
      const outputs = Array.from(ids, (id, row) => ({ row, target: id, logits: row % 3 === 0 }));
      const segments = [{ slot: 0, position: 0, rows: 150 }];
      const all = await executor.step({ ids, segments, outputs });
      expect(all.length).toBe(150);
      for (const row of [0, 63, 64, 65, 128, 149]) {
        await executor.resetSlot(0);
        const [one] = await executor.step({
          ids,
          segments,
          outputs: [{ row, target: ids[row]!, logits: true }],
        });
        expect(all[row]!.target).toBe(one!.target);
        if (row % 3 === 0) expect(all[row]!.logits).toEqual(one!.logits);
      }
    });
  });

  test('two outputs of one row', async () => {
    await withModel(variant('simd'), {}, async (model) => {
      const row = IDS.length - 1;
      const results = await step(model, [
        { row, sample: { ...GREEDY, top: 1 } },
        { row, sample: { ...GREEDY, temperature: 1, topK: 1 } },
      ]);
      expect(results[1]!.sampled!.id).toBe(results[0]!.sampled!.id);
      expect(results[0]!.sampled!.top[0]!.logprob).toBe(results[0]!.sampled!.logprob);
    });
  });

  test('refuses steps that contradict themselves', async () => {
    await withModel(variant('simd'), { slots: 2 }, async ({ executor, program }) => {
      const segment = { slot: 0, position: 0, rows: 1 };
      const bad = [
        { ids: Int32Array.of(program.vocabSize), segments: [segment], outputs: [] },
        { ids: Int32Array.of(-1), segments: [segment], outputs: [] },
        { ids: Int32Array.of(1, 2), segments: [segment], outputs: [] },
        { ids: Int32Array.of(1), segments: [{ ...segment, slot: 2 }], outputs: [] },
        { ids: Int32Array.of(1), segments: [{ ...segment, rows: 0 }], outputs: [] },
        { ids: new Int32Array(65), segments: [{ ...segment, rows: 65 }], outputs: [] },
        { ids: Int32Array.of(1), segments: [segment], outputs: [{ row: 1, logits: true }] },
        { ids: Int32Array.of(1), segments: [segment], outputs: [{ row: 0, target: program.vocabSize }] },
      ];
      for (const wrong of bad) expect((await refusal(executor.step(wrong))).code).toBe('INTERNAL');
    });
  });
});

describe('slots', () => {
  test('copy, reset, read and write', async () => {
    await withModel(variant('simd'), { slots: 3 }, async (model) => {
      const { executor } = model;
      await step(model);
      const state = await executor.readSlot(0, IDS.length);
      await executor.copySlot(0, 1);
      await executor.writeSlot(2, 1000, state);
      expect(await executor.readSlot(1, IDS.length)).toEqual(state);
      for (const [name, values] of Object.entries(state))
        expect(await executor.readSlot(1, IDS.length, [name])).toEqual({ [name]: values });
      expect(await executor.readSlot(2, 1000)).toEqual(state);
      await executor.resetSlot(0);
      for (const values of Object.values(await executor.readSlot(0, 5)))
        expect(values.every((value) => value === 0)).toBe(true);
      expect(await executor.readSlot(1, IDS.length)).toEqual(state);
    });
  });

  test('canonical states of the reference are taken over', async () => {
    const found = await withModel(reference, {}, async (model) => {
      await step(model);
      const state = await model.executor.readSlot(0, IDS.length);
      const next = await model.executor.step({
        ids: Int32Array.of(7),
        segments: [{ slot: 0, position: IDS.length, rows: 1 }],
        outputs: [{ row: 0, sample: GREEDY }],
      });
      return { state, next };
    });
    await withModel(variant('simd'), {}, async ({ executor }) => {
      await executor.writeSlot(0, IDS.length, found.state);
      expect(await executor.readSlot(0, IDS.length)).toEqual(found.state);
      const next = await executor.step({
        ids: Int32Array.of(7),
        segments: [{ slot: 0, position: IDS.length, rows: 1 }],
        outputs: [{ row: 0, sample: GREEDY }],
      });
      expect(next[0]!.sampled!.id).toBe(found.next[0]!.sampled!.id);
      expect(next[0]!.sampled!.logprob).toBeCloseTo(found.next[0]!.sampled!.logprob, 4);
    });
  });
});

describe('memory', () => {
  const testCase = cases.logits.find(({ name }) => name.startsWith('nano'))!;
  const formats = Object.fromEntries(
    Object.entries(testCase.program.weights).map(([name, { role }]) => [
      name,
      role === 'linear' ? quant(4, 32) : F32,
    ]),
  );
  const options = { slots: 2, numerics: 'i8' as const, threads: 2 };

  test('the plan is what is allocated, and never grows', async () => {
    let allocated: WebAssembly.Memory | undefined;
    const backend = variant('simd', {
      wrap: (parts) => {
        allocated = parts.memory;
        return parts;
      },
    });
    const plan = backend.plan(testCase.program, formats, options);
    const executor = await backend.create(testCase.program, formats, options);
    expect(executor.memory).toEqual(plan);
    expect(allocated!.buffer.byteLength).toBe(plan.totalBytes);
    expect(plan.totalBytes).toBe(plan.weightBytes + plan.stateBytes + plan.scratchBytes);
    expect(() => allocated!.grow(1)).toThrow();
    await executor.dispose();
  });

  test('a budget is kept, more than 4 GiB refused, with numbers', async () => {
    const backend = variant('simd');
    const { totalBytes } = backend.plan(testCase.program, formats, options);
    const tight = await refusal(
      backend.create(testCase.program, formats, { ...options, memoryBudget: totalBytes - 1 }),
    );
    expect(tight).toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(tight.message).toContain(String(totalBytes));
    const [vocab, width] = [1 << 20, 4096]; // 16 GiB of f32
    const [logits] = testCase.program.calls;
    if (logits?.op !== 'logits') throw new Error('a program that begins with its logits was expected');
    const program = {
      ...testCase.program,
      buffers: { x: { width } },
      weights: {
        g: { shape: [width], role: 'vector' as const },
        w: { shape: [vocab, width], role: 'linear' as const },
      },
      calls: [{ ...logits, x: { ...logits.x, width } }],
      vocabSize: vocab,
    };
    const error = await refusal(backend.create(program, { ...formats, w: F32 }, options));
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(error.message).toContain('4294967296');
  });

  test('missing and foreign weights are told', async () => {
    const executor = await variant('simd').create(testCase.program, formats, options);
    expect((await refusal(executor.ready())).message).toContain("'g'");
    const wrong = floatTensor(new Float32Array(3), 3);
    expect(() => executor.sink('nothing').put(0, wrong)).toThrow(/nothing/);
    expect(() => executor.sink('g').put(0, floatTensor(new Float32Array(97), 97))).toThrow(/'g'/);
    await executor.dispose();
  });
});

describe('threads', () => {
  test('a spawner that fails: fewer threads, and why', async () => {
    const failing = (allowed: number): typeof spawnThread => {
      let started = 0;
      return (data, failed) =>
        started++ < allowed ? spawnThread(data, failed) : Promise.reject(new Error('no more workers'));
    };
    for (const allowed of [0, 1])
      await withModel(
        variant('simd', {}, { spawnThread: failing(allowed) }),
        { threads: 3 },
        async (model) => {
          expect(model.executor.info.threads).toBe(1 + allowed);
          expect(model.executor.info.why).toContain('no more workers');
          expect((await step(model))[0]!.sampled!.id).toBeGreaterThanOrEqual(0);
        },
      );
  });

  test('no shared memory, no threads', async () => {
    await withModel(variant('simd', {}, { canShareMemory: false }), { threads: 2 }, async ({ executor }) => {
      expect(executor.info).toMatchObject({ threads: 1, variant: 'SIMD' });
      expect(executor.info.why).toContain('COOP');
    });
  });

  test('a thread that dies between steps is done without', async () => {
    let kill = async () => {};
    const spawn: typeof spawnThread = async (data, failed) => {
      const thread = await spawnThread(data, failed);
      kill = async () => {
        failed(new Error('killed by the test'));
        await thread.terminate();
      };
      return thread;
    };
    await withModel(variant('simd', {}, { spawnThread: spawn }), { threads: 2 }, async (model) => {
      const expected = await greedyOf(model, [1, 2, 3], 6);
      expect(model.executor.info.threads).toBe(2);
      await kill();
      expect(await greedyOf(model, [1, 2, 3], 6)).toEqual(expected);
      expect(model.executor.info.threads).toBe(1);
      expect(model.executor.info.why).toContain('killed by the test');
    });
  });

  test('many more threads than cores', async () => {
    const one = await withModel(variant('simd'), { threads: 1 }, (model) => greedyOf(model, [1, 2, 3], 8));
    const many = await withModel(variant('simd'), { threads: 8 }, (model) => greedyOf(model, [1, 2, 3], 8));
    expect(many).toEqual(one);
  });

  test('how many are chosen', async () => {
    const { program } = cases.logits.find(({ name }) => name.startsWith('gpt-neox'))!;
    const formats = { w: F32, g: F32 };
    const chosen = async (cores: number) => {
      const backend = wasmBackend({
        ...host,
        cores,
        spawnThread: async () => ({ terminate: async () => {} }),
      });
      const executor = await backend.create(program, formats, { slots: 1, numerics: 'exact', threads: 0 });
      await expect(executor.ready()).rejects.toThrow('WASM weights');
      const { threads } = executor.info;
      await executor.dispose();
      return threads;
    };
    expect(await Promise.all([1, 2, 4, 6, 8, 16, 64].map(chosen))).toEqual([1, 2, 4, 4, 4, 8, 8]);
    const tiny = await openFixture(wasmBackend(host), 'rene-a', { threads: 0 });
    expect(tiny.executor.info.threads).toBe(1);
    await tiny.executor.dispose();
  });
});

describe('bad numbers', () => {
  test('NaN weights end in an error, not in a loop', async () => {
    const testCase = cases.sample.find(({ name }) => name.startsWith('97'))!;
    const formats = { w: F32, g: F32 };
    const executor = await variant('simd').create(testCase.program, formats, {
      slots: 1,
      numerics: 'exact',
      threads: 1,
    });
    const random = new Random('NaN');
    const w = random.floats(97 * 16, (_, i) => (i === 500 ? Number.NaN : 0.5));
    executor.sink('w').put(0, floatTensor(w, 16));
    executor.sink('g').put(0, floatTensor(new Float32Array(16).fill(1), 16));
    await executor.writeBuffer('x', new Float32Array(testCase.program.chunk * 16).fill(1));
    for (const sample of [
      GREEDY,
      { ...GREEDY, temperature: 1 },
      { ...GREEDY, temperature: 1, topK: 3, topP: 0.5 },
    ])
      expect(
        await refusal(
          executor.step({
            ids: Int32Array.of(0),
            segments: [{ slot: 0, position: 0, rows: 1 }],
            outputs: [{ row: 0, sample }],
          }),
        ),
      ).toMatchObject({ code: 'INVALID_FILE' });
    await executor.dispose();
  });

  test('after dispose everything is refused', async () => {
    const model = await openFixture(variant('simd'), 'rene-a', { threads: 2 });
    await model.executor.dispose();
    await model.executor.dispose();
    expect(await refusal(step(model))).toMatchObject({ code: 'CLOSED' });
    expect(await refusal(model.executor.resetSlot(0))).toMatchObject({ code: 'CLOSED' });
  });
});
