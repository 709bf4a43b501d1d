import type { OpCall } from '../../ops/index.ts';
import type { Addresses, EncodeContext, Encoder, Scratch } from './encoder.ts';
import { addressOf } from './memory.ts';
import { weightWords } from './pack_js.ts';
import { Words } from './words.ts';

type Encoders<K extends OpCall['op']> = { [N in K]: Encoder<Extract<OpCall, { op: N }>> };

const OWN_ROWS = 2; // of wasm/linear/linear.h
const NO_VIEW = [0, 0, 0];

/** The ops that read a linear weight: embed_args and linear_args of wasm. */
export const linearEncoders: Encoders<'embed' | 'norm_linear' | 'linear_residual' | 'logits'> = {
  embed: {
    words: (call, at) =>
      new Words()
        .u32(...at.view(call.y), ...weightWords(at.linear(call.table), at.packed(call.table)))
        .f32(call.scale ?? 1),
  },
  norm_linear: {
    scratch: (call, context) => inputRows(call.w, context),
    words: (call, at, scratch) => linearWords(call, at, scratch, NO_VIEW, at.view(call.y)),
  },
  linear_residual: {
    scratch: (call, context) => inputRows(call.w, context),
    words: (call, at, scratch) => linearWords(call, at, scratch, at.view(call.residual), at.view(call.y)),
  },
  logits: {
    scratch: (call, context) => inputRows(call.w, context),
    words: (call, at, scratch) => linearWords(call, at, scratch, NO_VIEW, NO_VIEW),
  },
};

/** Prepared inputs: of all rows, or of so few that every thread prepares them for itself. */
function inputRows(weight: string, { program, packed }: EncodeContext): Scratch {
  const { inputBytes } = packed(weight);
  return { shared: program.chunk * inputBytes, perThread: OWN_ROWS * inputBytes };
}

type LinearCall = Extract<OpCall, { op: 'norm_linear' | 'linear_residual' | 'logits' }>;

function linearWords(
  call: LinearCall,
  at: Addresses,
  { shared }: Scratch,
  residual: readonly number[],
  y: readonly number[],
): Words {
  const packed = at.packed(call.w);
  const g = 'g' in call ? call.g : undefined;
  return new Words()
    .u32(...at.view(call.x), ...residual, ...y, ...weightWords(at.linear(call.w), packed))
    .u32(g === undefined ? 0 : at.vector(g), call.b === undefined ? 0 : at.vector(call.b))
    .f32('eps' in call ? call.eps : 0, call.scale ?? 1)
    .u32(packed.inputBytes, addressOf(shared));
}
