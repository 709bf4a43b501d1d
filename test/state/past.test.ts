import { describe, expect, test } from 'vitest';
import { Checkpoints } from '../../src/state/checkpoints.ts';
import { TokenHistory } from '../../src/state/history.ts';

describe('history', () => {
  test('holds the last ids, in a ring', () => {
    const history = new TokenHistory(5);
    history.push([1, 2, 3]);
    expect([history.earliest, history.length, ...history.slice(0, 3)]).toEqual([0, 3, 1, 2, 3]);
    history.push([4, 5, 6, 7]);
    expect([history.earliest, history.length, ...history.slice(2, 7)]).toEqual([2, 7, 3, 4, 5, 6, 7]);
    history.push([...Array(20).keys()]);
    expect([history.earliest, history.length, ...history.slice(22, 27)]).toEqual([
      22, 27, 15, 16, 17, 18, 19,
    ]);
  });

  test('what was written over stays lost when the end is forgotten', () => {
    const history = new TokenHistory(4);
    history.push([1, 2, 3, 4, 5, 6]);
    history.truncate(4);
    expect([history.earliest, history.length, ...history.slice(2, 4)]).toEqual([2, 4, 3, 4]);
    history.push([9]);
    expect([...history.slice(2, 5)]).toEqual([3, 4, 9]);
  });
});

describe('checkpoints', () => {
  test('thin out with age, within their number', () => {
    const checkpoints = new Checkpoints(8, 10);
    for (let position = 10; position <= 10_000; position += 10)
      if (checkpoints.wants(position, false)) checkpoints.add(position, {});
    const { positions } = checkpoints;
    expect(positions.length).toBe(8);
    expect(positions.at(-1)).toBe(10_000);
    const gaps = positions.slice(1).map((position, i) => position - positions[i]!);
    expect(gaps.at(-1)).toBeLessThanOrEqual(40);
    expect(Math.max(...gaps)).toBe(Math.max(...gaps.slice(0, 3))); // the old ones lie far apart
  });

  test('each turn counts, however short; nothing is kept twice', () => {
    const checkpoints = new Checkpoints(4, 100);
    expect(checkpoints.wants(0, true)).toBe(false);
    expect(checkpoints.wants(3, false)).toBe(false);
    expect(checkpoints.wants(3, true)).toBe(true);
    checkpoints.add(3, {});
    expect(checkpoints.wants(3, true)).toBe(false);
    expect(checkpoints.nearest(2)).toBeNull();
    expect(checkpoints.nearest(50)?.position).toBe(3);
    checkpoints.truncate(2);
    expect(checkpoints.count).toBe(0);
  });

  test('room for none', () => expect(new Checkpoints(0, 1).wants(1000, true)).toBe(false));
});
