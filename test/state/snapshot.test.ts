import { describe, expect, test } from 'vitest';
import type { DecodeOptions } from '../../src/api/types/index.ts';
import { EdgeError } from '../../src/errors.ts';
import { ImageLayout } from '../../src/state/image.ts';
import {
  type Conversation,
  decodeSnapshot,
  encodeSnapshot,
  HEADER_BYTES,
  type SnapshotModel,
  snapshotBytes,
} from '../../src/state/snapshot.ts';
import { f16ToNumber, numberToF16 } from '../../src/weights/half.ts';
import { Random } from '../helpers/random.ts';
import { conversation, model, program } from './codec.ts';

function refusal(run: () => unknown): EdgeError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(EdgeError);
    return error as EdgeError;
  }
  throw new Error('It was taken');
}

const POSITIONS = [0, 1, 3, 4, 5, 11, 12, 100];

describe('a snapshot', () => {
  test.each(POSITIONS)('gives back every bit at position %i', (position) => {
    const told = conversation(position);
    const bytes = encodeSnapshot(model, told, 'f32');
    expect(bytes.length).toBe(snapshotBytes(model.layout, position, 'f32'));
    expect(decodeSnapshot(bytes, model)).toEqual(told);
    const shifted = new Uint8Array(bytes.length + 3); // an offset that no float may have
    shifted.set(bytes, 3);
    expect(decodeSnapshot(shifted.subarray(3), model)).toEqual(told);
  });

  test('in f16 rounds to the nearest, and refuses what f16 has not', () => {
    const told = conversation(7);
    const half = encodeSnapshot(model, told, 'f16');
    const image = told.image.map((values) => values.map((x) => f16ToNumber(numberToF16(x))));
    expect(decodeSnapshot(half, model)).toEqual({ ...told, image });
    told.image[0]![0] = 70_000;
    expect(refusal(() => encodeSnapshot(model, told, 'f16'))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('takes at most 4 KiB beside the state of a model with 128 states', () => {
    const names = Array.from({ length: 128 }, (_, i) => [`${i}`, { shape: [5], layout: 'dense' }]);
    const layout = new ImageLayout({ ...program, states: Object.fromEntries(names) });
    const extra = snapshotBytes(layout, 9, 'f32') - layout.bytes(9);
    expect(extra).toBeLessThanOrEqual(4096);
  });

  test('holds of a ring what later tokens read, oldest first, whatever its size', () => {
    const larger = new ImageLayout({
      ...program,
      states: { ...program.states, kv: { shape: [2, 20, 2], layout: { ringAxis: 1 } } },
    });
    expect(larger.digest()).toEqual(model.layout.digest());
    for (const position of POSITIONS) {
      const { image } = conversation(position);
      const wide = larger.fill(image, position);
      expect(wide.kv!.length).toBe(80);
      expect(larger.cut(wide, position)).toEqual(image);
      const narrow = model.layout.fill(image, position);
      expect(model.layout.cut(narrow, position)).toEqual(image);
      const rows = Math.min(5, position) * 2;
      expect(narrow.kv!.subarray(24 - rows, 24)).toEqual(wide.kv!.subarray(40 - rows, 40));
    }
  });
});

describe('damage is refused', () => {
  const bytes = encodeSnapshot(model, conversation(20), 'f32');
  const decode = (damaged: Uint8Array) => refusal(() => decodeSnapshot(damaged, model));

  test('every single bit', () => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const { code } = decode(damaged);
      const version = bit >> 3 >= 8 && bit >> 3 < 12;
      expect(code).toBe(version ? 'STATE_MISMATCH' : 'INVALID_FILE');
    }
  });

  test('every length but its own', () => {
    for (let length = 0; length < bytes.length; length++) decode(bytes.slice(0, length));
    const longer = new Uint8Array(bytes.length + 16);
    longer.set(bytes);
    for (const more of [1, 4, 16]) decode(longer.slice(0, bytes.length + more));
  });

  test('8,000 mutants: bytes set, swapped, moved, filled, and parts of another snapshot', () => {
    const other = encodeSnapshot(model, conversation(21), 'f32');
    const random = new Random(5);
    const below = (n: number) => Math.floor(random.uniform() * n);
    let changed = 0;
    for (let i = 0; i < 8000; i++) {
      const mutant = bytes.slice();
      const [at, to] = [below(bytes.length), below(bytes.length)];
      const length = 1 + below(64);
      if (i % 5 === 0) mutant[at] = below(256);
      else if (i % 5 === 1) [mutant[at], mutant[to]] = [mutant[to]!, mutant[at]!];
      else if (i % 5 === 2) mutant.copyWithin(at, to, to + length);
      else if (i % 5 === 3) mutant.fill(below(256), at, at + length);
      else mutant.set(other.subarray(at, Math.min(bytes.length, at + length)), at);
      if (mutant.every((byte, k) => byte === bytes[k])) continue;
      changed++;
      expect(['INVALID_FILE', 'STATE_MISMATCH']).toContain(decode(mutant).code);
    }
    expect(changed).toBeGreaterThan(5000);
    expect(
      decode(Uint8Array.of(...bytes.subarray(0, HEADER_BYTES), ...other.subarray(HEADER_BYTES))),
    ).toBeTruthy();
  });
});

describe('what belongs elsewhere is refused', () => {
  const told = conversation(20);
  const take = (other: Partial<SnapshotModel>, options?: DecodeOptions): Conversation =>
    decodeSnapshot(encodeSnapshot(model, told, 'f32'), { ...model, ...other }, options);
  const mismatch = (other: Partial<SnapshotModel>, message: RegExp) => {
    const error = refusal(() => take(other));
    expect(error).toMatchObject({ code: 'STATE_MISMATCH', message: expect.stringMatching(message) });
  };

  test('another model, quantization, architecture, vocabulary', () => {
    mismatch({ fingerprint: 'f'.repeat(32) }, /fingerprint 0123.*expected ffff/);
    mismatch({ weights: 'q4g32' }, /q8g32, expected q4g32/);
    const states = { ...program.states, ssm: { shape: [2, 4], layout: 'dense' as const } };
    mismatch({ layout: new ImageLayout({ ...program, states }) }, /other shapes/);
    mismatch({ vocabSize: 10 }, /token/);
  });

  test('unless it is allowed', () => {
    expect(take({ weights: 'q4g32' }, { allowQuantization: true })).toEqual(told);
    expect(take({ fingerprint: 'f'.repeat(32) }, { allowQuantization: true })).toEqual(told);
  });

  test('other numerics and another backend need no leave', () => {
    expect(take({ numerics: 'exact' })).toEqual(told);
    expect(take({ numerics: 'exact', backend: 'webgpu' })).toEqual(told);
  });

  test('a position beyond maxContext', () => {
    expect(refusal(() => take({ maxContext: 19 }))).toMatchObject({ code: 'CONTEXT_FULL' });
    expect(take({ maxContext: 20 })).toEqual(told);
  });
});
