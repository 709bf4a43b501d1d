import { type OpCall, type OpName, ops } from '../../ops/index.ts';
import { linearEncoders } from './encode_linear.ts';
import { stateEncoders } from './encode_state.ts';
import type { Addresses, EncodeContext, Encoder, Scratch } from './encoder.ts';
import type { Layout } from './layout.ts';
import { addressOf } from './memory.ts';

const encoders = { ...stateEncoders, ...linearEncoders } as unknown as { [K in OpName]: Encoder<OpCall> };
const numbers = Object.keys(ops); // the numbering of wasm/ops/list.h
export const CALL_BYTES = 8;
export const ARGUMENT_BYTES = 256; // room for any argument struct

export function scratchOf(call: OpCall, context: EncodeContext): Scratch {
  return encoders[call.op].scratch?.(call, context) ?? { shared: 0, perThread: 0 };
}

/** Writes the call[] and the argument structs of a program. */
export function writeProgram(buffer: ArrayBufferLike, layout: Layout): void {
  const at = addresses(layout);
  layout.callList.forEach((call, i) => {
    const { words } = encoders[call.op].words(call, at, scratchOf(call, at));
    const offset = layout.arguments + i * ARGUMENT_BYTES;
    new Uint32Array(buffer, offset, words.length).set(words);
    new Uint32Array(buffer, layout.calls + i * CALL_BYTES, 2).set([
      numbers.indexOf(call.op),
      addressOf(offset),
    ]);
  });
}

function addresses(layout: Layout): Addresses {
  const { program, numerics, threads, vectors, linears, buffers, states } = layout;
  return {
    program,
    numerics,
    threads,
    view({ buffer, offset, width }) {
      const place = buffers.get(buffer)!;
      return [addressOf(place.offset) + offset, place.stride, width];
    },
    state(name) {
      const { offset, stride } = states.get(name)!;
      return [addressOf(offset), addressOf(stride)];
    },
    vector: (name) => addressOf(vectors.get(name)!),
    linear: (name) => addressOf(linears.get(name)!.offset),
    packed: (name) => linears.get(name)!.packed,
  };
}
