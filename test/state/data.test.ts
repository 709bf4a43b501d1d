import { describe, expect, test } from 'vitest';
import { CheckpointBudget, Checkpoints } from '../../src/state/checkpoints.ts';
import { History } from '../../src/state/history.ts';
import { PrefixTree } from '../../src/state/prefix_tree.ts';
import { Random } from '../helpers/random.ts';

describe('history', () => {
  test('against a plain list, for any pushes, truncations and capacity', () => {
    const random = new Random(3);
    for (const capacity of [1, 5, 64, 100, 1000]) {
      const history = new History(capacity);
      let plain: number[] = [];
      let first = 0;
      for (let i = 0; i < 300; i++) {
        if (random.uniform() < 0.2) {
          plain = plain.slice(0, Math.max(first, plain.length - Math.floor(random.uniform() * 20)));
          history.truncate(plain.length);
        } else {
          const ids = Array.from({ length: Math.floor(random.uniform() * 40) }, () =>
            Math.floor(random.uniform() * 1000),
          );
          plain.push(...ids);
          history.push(ids);
          first = Math.max(first, plain.length - capacity);
        }
        expect([history.first, history.length]).toEqual([first, plain.length]);
        expect([...history.slice(first, plain.length)]).toEqual(plain.slice(first));
      }
      const copy = history.copy();
      copy.push([1, 2]);
      expect(history.length).toBe(plain.length);
    }
  });

  test('a restart knows only its last ids', () => {
    const history = new History(10);
    history.push([1, 2, 3]);
    history.restart(1000, [7, 8, 9]);
    expect([history.first, history.length]).toEqual([997, 1000]);
    history.push([4]);
    expect([...history.slice(997, 1001)]).toEqual([7, 8, 9, 4]);
    expect(() => history.slice(996, 1000)).toThrow(RangeError);
  });
});

describe('checkpoints', () => {
  test('stay within their budget and thin out with age', () => {
    const budget = new CheckpointBudget<number>(100);
    const kept = new Checkpoints(budget);
    for (let position = 10; position <= 10_000; position += 10) {
      kept.keep(position, 10, position);
      expect(budget.bytes).toBeLessThanOrEqual(100);
      expect(kept.positions.at(-1)).toBe(position);
    }
    const { positions } = kept;
    expect(positions).toHaveLength(10);
    // The distance to go back by is in proportion to the age: never more than the age itself, and some of the old stay.
    for (const [i, position] of positions.entries()) {
      const before = positions[i - 1] ?? 0;
      if (i > 0) expect(position - before).toBeLessThanOrEqual(3 * (10_000 - before));
    }
    expect(positions[0]).toBeLessThan(9000);
    expect(kept.nearest(10_000)).toMatchObject({ position: 10_000, value: 10_000 });
    expect(kept.nearest(positions[0]! - 1)).toBeNull();
    kept.truncate(positions[4]!);
    expect(kept.positions).toEqual(positions.slice(0, 5));
    kept.forget(positions[2]!);
    expect(kept.positions).toEqual(positions.slice(2, 5));
    kept.clear();
    expect([budget.bytes, budget.count]).toEqual([0, 0]);
  });

  test('share a budget, and give back what is theirs', () => {
    const budget = new CheckpointBudget<string>(50);
    const [a, b] = [new Checkpoints(budget), new Checkpoints(budget)];
    for (const position of [100, 200, 300]) a.keep(position, 10, 'a');
    a.copyTo(b);
    expect(budget.bytes).toBeLessThanOrEqual(50);
    a.clear();
    expect(budget.bytes).toBe(10 * b.positions.length);
    expect(b.positions).toContain(300);
    a.keep(1, 51, 'too large');
    expect(a.positions).toEqual([]);
  });
});

describe('prefix tree', () => {
  test('against a plain map, with evictions of the least recently used', () => {
    const random = new Random(11);
    const tree = new PrefixTree<string>(4000);
    let plain: { key: number[]; bytes: number }[] = []; // least recently used first
    const ids = () =>
      Array.from({ length: Math.floor(random.uniform() * 12) }, () => Math.floor(random.uniform() * 3));
    for (let i = 0; i < 3000; i++) {
      const key = ids();
      if (random.uniform() < 0.5 && key.length > 0) {
        const bytes = 100 + 4 * key.length;
        plain = plain.filter((other) => other.key.join() !== key.join());
        plain.push({ key, bytes });
        let evicted = 0;
        while (plain.reduce((sum, other) => sum + other.bytes, 0) > 4000) {
          plain.shift();
          evicted++;
        }
        expect(tree.insert(Int32Array.from(key), key.join(), 100)).toBe(evicted);
      } else {
        const best = plain
          .filter((other) => other.key.every((id, at) => key[at] === id))
          .sort((a, b) => b.key.length - a.key.length)[0];
        const found = tree.find(Int32Array.from(key));
        expect([found.length, found.value]).toEqual([best?.key.length ?? 0, best?.key.join() ?? null]);
        const common = (other: number[]) => {
          let n = 0;
          while (n < Math.min(other.length, key.length) && other[n] === key[n]) n++;
          return n;
        };
        expect(found.shared).toBe(Math.max(0, ...plain.map((other) => common(other.key))));
        if (best) plain = [...plain.filter((other) => other !== best), best];
      }
      expect(tree.count).toBe(plain.length);
      expect(tree.bytes).toBe(plain.reduce((sum, other) => sum + other.bytes, 0));
    }
    expect(tree.insert(Int32Array.of(1), 'too large', 4000)).toBe(0);
  });
});
