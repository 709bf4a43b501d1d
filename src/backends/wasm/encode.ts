import { type OpCall, type OpName, ops } from '../../ops/index.ts';
import { linearEncoders } from './encode_linear.ts';
import { stateEncoders } from './encode_state.ts';
import type { Addresses, EncodeContext, Encoder, Scratch } from './encoder.ts';
import type { Words } from './words.ts';

const encoders = { ...stateEncoders, ...linearEncoders } as unknown as { [K in OpName]: Encoder<OpCall> };
const numbers = Object.keys(ops); // the numbering of wasm/ops/list.h

export function scratchOf(call: OpCall, context: EncodeContext): Scratch {
  return encoders[call.op].scratch?.(call, context) ?? { shared: 0, perThread: 0 };
}

/** A call as the module reads it: its op's number, and the words of that op's argument struct. */
export function encodeCall(call: OpCall, at: Addresses): { op: number; arguments: Words } {
  return { op: numbers.indexOf(call.op), arguments: encoders[call.op].words(call, at, scratchOf(call, at)) };
}
