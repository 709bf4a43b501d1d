import { expect, test } from 'vitest';
import { inverseFrequencies } from '../../src/ops/rotary.ts';

const call = (dims: number, theta: number) =>
  inverseFrequencies({ op: 'rotary', x: { buffer: 'x', offset: 0, width: dims }, heads: 1, dims, theta });

test('inverse frequencies are those of powf with theta as f32', () => {
  // 1.0f / powf(1e11f, 2i / 128.0f) of glibc, at the i where a theta in f64 gives other bits
  const expected = {
    14: 0.00392419007,
    32: 3.16227784e-6,
    41: 8.97687187e-8,
    52: 1.15478205e-9,
    56: 2.37137393e-10,
    58: 1.0746079e-10,
    60: 4.8696755e-11,
    62: 2.20673427e-11,
  };
  const found = call(128, 1e11);
  for (const [i, value] of Object.entries(expected)) expect(found[Number(i)]).toBe(Math.fround(value));
});
