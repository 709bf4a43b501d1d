import type { View } from '../../ops/contract.ts';
import type { Program } from '../../ops/program.ts';
import type { Numerics } from '../../types.ts';
import type { PackedWeight } from './pack_js.ts';
import type { Words } from './words.ts';

/** Facts that are fixed before addresses are. */
export interface EncodeContext {
  readonly program: Program;
  readonly numerics: Numerics;
  /** Threads that may share a step. */
  readonly threads: number;
  /** How a linear weight is packed. */
  packed(name: string): PackedWeight;
}

/** Where what a call names lies in memory, in units of 4 bytes: see addressOf of memory.ts. */
export interface Addresses extends EncodeContext {
  /** The three words of a C view: base, stride in floats, width. */
  view(view: View): [base: number, stride: number, width: number];
  /** The two words of a C state_ref: base, stride from slot to slot. */
  state(name: string): [base: number, stride: number];
  /** A vector: f32[n], or f32[k][channels] for a weight [channels, k]. */
  vector(name: string): number;
  /** A packed linear weight. */
  linear(name: string): number;
}

/** Bytes of step.scratch: what all threads share, and what each has for itself. */
export interface Scratch {
  shared: number;
  perThread: number;
}

/** How the calls of one op become the words of its struct in wasm/ops/<op>.h. */
export interface Encoder<Call> {
  scratch?(call: Call, context: EncodeContext): Scratch;
  words(call: Call, at: Addresses, scratch: Scratch): Words;
}
