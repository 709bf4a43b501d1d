import { describe, expect, test } from 'vitest';
import { EdgeError } from '../../src/errors.ts';
import {
  decodeSnapshot,
  encodeSnapshot,
  type Snapshot,
  type SnapshotModel,
} from '../../src/state/snapshot.ts';
import { Random } from '../helpers/random.ts';

const model: SnapshotModel = {
  fingerprint: '0123456789abcdef0123456789abcdef',
  weights: 'q8 in groups of 32',
  numerics: 'i8',
  vocabSize: 300,
  states: {
    'layers.0.conv': { shape: [4, 6], layout: { ringAxis: 0 } },
    'layers.0.ssm': { shape: [2, 3, 5], layout: 'dense' },
  },
};
const values = (length: number, seed: string) => {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => random.below(2001) / 1000 - 1);
};
const snapshot: Snapshot = {
  position: 12_345,
  pending: 7,
  recent: [1, 2, 299, 7],
  state: { 'layers.0.conv': values(24, 'conv'), 'layers.0.ssm': values(30, 'ssm') },
};

function refusal(bytes: Uint8Array, of: SnapshotModel = model, options = {}): EdgeError {
  try {
    decodeSnapshot(bytes, of, options);
  } catch (error) {
    expect(error).toBeInstanceOf(EdgeError);
    return error as EdgeError;
  }
  throw new Error('nothing was thrown');
}

describe('snapshots', () => {
  test('f32 comes back bit for bit, with at most 4 KiB beside the state', () => {
    const bytes = encodeSnapshot(snapshot, model);
    expect(decodeSnapshot(bytes, model)).toEqual(snapshot);
    expect(bytes.length).toBeLessThanOrEqual(4 * 54 + 4096);
  });

  test('f16 takes half of it, and is as near as f16 is', () => {
    const bytes = encodeSnapshot(snapshot, model, 'f16');
    expect(bytes.length).toBe(encodeSnapshot(snapshot, model).length - 2 * 54);
    const { state, ...rest } = decodeSnapshot(bytes, model);
    expect(rest).toEqual({ position: 12_345, pending: 7, recent: snapshot.recent });
    for (const [name, array] of Object.entries(state))
      for (const [i, value] of array.entries()) expect(value).toBeCloseTo(snapshot.state[name]![i]!, 3);
  });

  test('what f16 cannot hold is refused, and named', () => {
    const large = {
      ...snapshot,
      state: { ...snapshot.state, 'layers.0.ssm': new Float32Array(30).fill(1e5) },
    };
    expect(() => encodeSnapshot(large, model, 'f16')).toThrow(/'layers.0.ssm'.*save it as f32/);
  });

  test('bytes at odd offsets of a larger buffer', () => {
    const bytes = encodeSnapshot(snapshot, model);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeSnapshot(shifted.subarray(3), model)).toEqual(snapshot);
  });

  test.each<[string, Partial<SnapshotModel>, RegExp]>([
    ['another model', { fingerprint: 'f'.repeat(32) }, /fingerprint 0123.*expected ffff/],
    ['another quantization', { weights: 'f16' }, /weights of q8 in groups of 32, expected f16/],
    ['another layout', { states: { a: { shape: [54], layout: 'dense' } } }, /another layout/],
  ])('%s: STATE_MISMATCH', (_, change, message) => {
    const error = refusal(encodeSnapshot(snapshot, model), { ...model, ...change });
    expect(error.code).toBe('STATE_MISMATCH');
    expect(error.message).toMatch(message);
  });

  test('another quantization can be allowed, other numerics need no leave', () => {
    const bytes = encodeSnapshot(snapshot, model);
    const other: SnapshotModel = { ...model, weights: 'f16', numerics: 'exact' };
    expect(decodeSnapshot(bytes, other, { allowQuantization: true })).toEqual(snapshot);
  });

  test('another version: STATE_MISMATCH, before anything else of it is read', () => {
    const bytes = encodeSnapshot(snapshot, model);
    bytes[8] = 2;
    expect(refusal(bytes)).toMatchObject({ code: 'STATE_MISMATCH', message: /version 2, expected 1/ });
  });

  test('every damaged byte, every length that is cut off', () => {
    const bytes = encodeSnapshot(snapshot, model);
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i]! ^= 1 << (i % 8);
      expect(['INVALID_FILE', 'STATE_MISMATCH']).toContain(refusal(damaged).code);
      expect(refusal(bytes.subarray(0, i)).code).toBe('INVALID_FILE');
    }
  });

  test('5,000 mutants', () => {
    const bytes = encodeSnapshot(snapshot, model, 'f16');
    const random = new Random('snapshots');
    for (let n = 0; n < 5000; n++) {
      const mutant = bytes.slice(0, random.below(4) ? bytes.length : random.below(bytes.length));
      for (let k = 1 + random.below(8); k > 0 && mutant.length > 0; k--)
        mutant[random.below(mutant.length)] = random.below(256);
      if (mutant.length === bytes.length && mutant.every((byte, i) => byte === bytes[i])) continue;
      expect(['INVALID_FILE', 'STATE_MISMATCH']).toContain(refusal(mutant).code);
    }
  });
});
