import type { Program } from '../../src/ops/program.ts';
import { ImageLayout, type StateImage } from '../../src/state/image.ts';
import type { Conversation, SnapshotModel } from '../../src/state/snapshot.ts';
import { Random } from '../helpers/random.ts';

/** A program with a dense state, a ring of 4 and the keys and values of a window of 5 in a ring of 12. */
export const program: Program = {
  buffers: {},
  weights: {},
  states: {
    ssm: { shape: [2, 3], layout: 'dense' },
    conv: { shape: [4, 3], layout: { ringAxis: 0 } },
    kv: { shape: [2, 12, 2], layout: { ringAxis: 1 } },
  },
  calls: [{ op: 'window_attention', state: 'kv', window: 5 } as never],
  vocabSize: 50,
  chunk: 8,
  maxContext: Number.POSITIVE_INFINITY,
};

export const model: SnapshotModel = {
  fingerprint: '0123456789abcdef0123456789abcdef',
  weights: 'q8g32',
  numerics: 'i8',
  backend: 'wasm',
  layout: new ImageLayout(program),
  vocabSize: 50,
  maxContext: Number.POSITIVE_INFINITY,
};

export function conversation(position: number, layout = model.layout): Conversation {
  const random = new Random(position + 1);
  const image: StateImage = layout
    .sizes(position)
    .map((size) => Float32Array.from({ length: size }, () => random.uniform() * 4 - 2));
  const recent = Array.from({ length: Math.min(64, position + 1) }, (_, i) => (i * 7) % 50);
  return { position, pending: recent.at(-1)!, recent, image };
}
