import type { OutputResult } from '../../src/backends/types.ts';
import type { Numerics, WeightFormat } from '../../src/types.ts';
import { FULL } from '../helpers/full.ts';
import { F16, F32, quant } from '../helpers/tensors.ts';
import { type FixtureModel, logitsOf } from '../models/golden.ts';
import { GREEDY } from '../ops/sample_cases.ts';

export const LENGTH = 70;

export interface Mode {
  format: WeightFormat;
  numerics: Numerics;
}
export const MODES: Mode[] = [
  { format: F32, numerics: 'exact' },
  { format: F16, numerics: 'exact' },
  ...(['exact', 'i16', 'i8'] as const).flatMap((numerics) => [
    { format: quant(4, 32), numerics },
    { format: quant(8, 64, true), numerics },
  ]),
];

/** Those for a model: `nano`, which has the ops of the others, takes all; they take floats and i8, and all in test:full. */
export function modesOf(name: string): Mode[] {
  if (FULL || name === 'nano') return MODES;
  return MODES.filter(({ format, numerics }) => format === F32 || numerics === 'i8');
}

/** Ids that visit the vocabulary. */
export const idsOf = ({ program }: FixtureModel, length = LENGTH, seed = 1) =>
  Array.from({ length }, (_, i) => (Math.imul(i + seed, 2654435761) >>> 8) % program.vocabSize);

/** The last logits and the state after a prompt, as bits. */
export async function bitsOf(model: FixtureModel, cut: number | readonly number[], slot = 0) {
  const logits = await logitsOf(model, idsOf(model), 3, { cut, slot });
  return { logits: bits(logits), state: await stateBits(model, slot, LENGTH) };
}

export async function stateBits({ executor }: FixtureModel, slot: number, position: number) {
  const state = await executor.readSlot(slot, position);
  return Object.fromEntries(Object.entries(state).map(([name, values]) => [name, bits(values)]));
}

export const bits = (values: Float32Array) =>
  hash(new Uint32Array(values.buffer, values.byteOffset, values.length));

/** FNV-1a over words: one number says whether thousands are the same. */
function hash(words: Uint32Array): number {
  let h = 0x811c9dc5;
  for (const word of words) h = Math.imul(h ^ word, 0x01000193) ^ (word >>> 16);
  return h >>> 0;
}

/** Every way of sampling, on every row of a step. */
export async function samples(model: FixtureModel): Promise<OutputResult[]> {
  const ids = Int32Array.from(idsOf(model, 24));
  const ways = [
    {},
    { temperature: 0.8 },
    { temperature: 1.2, topK: 17 },
    { temperature: 0.9, topP: 0.8 },
    { temperature: 1, minP: 0.1, recent: ids, repetitionPenalty: 1.3 },
    { temperature: 1.5, topK: 50, topP: 0.9, minP: 0.01 },
  ];
  const outputs = Array.from(ids, (id, row) => ({
    row,
    target: id,
    sample: { ...GREEDY, ...ways[row % ways.length], seedLo: row, position: row, top: 4 },
  }));
  await model.executor.resetSlot(0);
  return model.executor.step({ ids, segments: [{ slot: 0, position: 0, rows: ids.length }], outputs });
}
