import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend, Executor } from '../../src/backends/types.ts';
import type { OpCall, OpName } from '../../src/ops/index.ts';
import { quant } from '../helpers/tensors.ts';
import type { OpCase } from './build.ts';
import { cases } from './cases.ts';
import { cover, richest, traits } from './cover.ts';
import { runCase } from './run_case.ts';

/** The reference backend with a fault. */
function faulty(change: (executor: Executor) => Partial<Executor>): Backend {
  return {
    ...reference,
    async create(...args) {
      const executor = await reference.create(...args);
      const changes = change(executor);
      return new Proxy(executor, {
        get(target, name) {
          const value = changes[name as keyof Executor] ?? target[name as keyof Executor];
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
  };
}

const pick = (op: OpName, name: string) => cases[op].find((testCase) => testCase.name.startsWith(name))!;
const exact = { numerics: 'exact', threads: 1 } as const;

async function faultsOf(backend: Backend, op: OpName, name: string): Promise<string[]> {
  const testCase = pick(op, name);
  return (await runCase(backend, op, testCase, testCase.formats[0]!, exact)).map(({ what }) => what);
}

describe('the parity harness', () => {
  test('finds nothing between the reference and itself', async () => {
    for (const op of Object.keys(cases) as OpName[])
      expect(await faultsOf(reference, op, cases[op][0]!.name)).toEqual([]);
    const testCase = pick('norm_linear', 'every format');
    expect(await runCase(reference, 'norm_linear', testCase, quant(4, 32), exact)).toEqual([]);
  });

  test('notices a wrong value in an output', async () => {
    const backend = faulty((executor) => ({
      async readBuffer(name) {
        const data = await executor.readBuffer(name);
        if (name === 'y') data[7] = data[7]! + 0.01;
        return data;
      },
    }));
    expect(await faultsOf(backend, 'norm_linear', 'every format')).toEqual(['step 0: y[0, 24)']);
  });

  test('notices a write beside the view', async () => {
    const backend = faulty((executor) => ({
      async step(step) {
        const results = await executor.step(step);
        const data = await executor.readBuffer('y');
        data[0] = 0;
        await executor.writeBuffer('y', data);
        return results;
      },
    }));
    expect(await faultsOf(backend, 'gate_norm', 'odd width')).toEqual([
      "step 0: columns of 'y' that nothing writes",
      "step 1: columns of 'y' that nothing writes",
    ]);
  });

  test('notices a step that touches another slot, and a reset that does not', async () => {
    const touching = faulty((executor) => ({
      async step(step) {
        const results = await executor.step(step);
        await executor.copySlot(0, 2);
        return results;
      },
    }));
    expect(await faultsOf(touching, 'conv1d', 'ragged')).toEqual(["step 0: state 'ring' of slot 2"]);
    const keeping = faulty(() => ({ resetSlot: async () => {} }));
    expect(await faultsOf(keeping, 'ssd_scan', '1 × 1 × 1, one row')).not.toEqual([]);
  });

  test('notices another token, a missing result, and NaN', async () => {
    const other = faulty((executor) => ({
      async step(step) {
        const results = await executor.step(step);
        results[3]!.sampled!.id ^= 1;
        return results;
      },
    }));
    expect(await faultsOf(other, 'sample', 'greedy')).toEqual(['step 0: sampled and top ids']);
    const missing = faulty((executor) => ({
      async step(step) {
        const results = await executor.step(step);
        delete results[0]!.logits;
        return results;
      },
    }));
    expect(await faultsOf(missing, 'logits', 'nano')).toContain('step 0: logits of output 0');
    const broken = faulty((executor) => ({
      readBuffer: async (name) => (await executor.readBuffer(name)).fill(Number.NaN),
    }));
    expect(await faultsOf(broken, 'embed', '1 of 1')).toEqual(['step 0: y[0, 1)']);
  });
});

describe('cases chosen by what they are', () => {
  const renamed = (list: readonly OpCase[]) =>
    list.map((testCase, i) => ({ ...testCase, name: `case ${i}` }));
  const indices = (chosen: readonly OpCase[], list: readonly OpCase[]) =>
    chosen.map((one) => list.indexOf(one));

  test.each(Object.keys(cases) as OpName[])('%s: every trait, whatever the names', (op) => {
    const list = cases[op];
    const chosen = cover(list);
    expect(new Set(chosen.flatMap(traits))).toEqual(new Set(list.flatMap(traits)));
    expect(new Set(chosen).size).toBe(chosen.length);
    expect(chosen).toEqual(expect.arrayContaining(list.filter(({ expected }) => expected)));
    const others = renamed(list);
    expect(indices(cover(others), others)).toEqual(indices(chosen, list));
    expect(indices(richest(others), others)).toEqual(indices(richest(list), list));
  });

  test('a case with a trait of its own is one of them', () => {
    const [first] = cases.conv1d;
    const [call] = first!.program.calls;
    const odd = {
      ...first!,
      program: { ...first!.program, calls: [{ ...call!, dilation: 2 } as unknown as OpCall] },
    };
    expect(cover([...cases.conv1d, odd])).toContain(odd);
    expect(cover(cases.conv1d).length).toBeLessThan(cases.conv1d.length);
  });
});
