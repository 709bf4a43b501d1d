import { EdgeError } from '../../errors.ts';
import type { OpCall } from '../../ops/index.ts';
import type { Program } from '../../ops/program.ts';
import type { Numerics } from '../../types.ts';
import { elementCount } from '../../weights/shape.ts';
import type { MemoryPlan, WeightFormats } from '../types.ts';
import { scratchOf } from './encode.ts';
import { Arena, ceilTo, type Region } from './memory.ts';
import { type PackedWeight, packedWeight } from './pack_js.ts';
import { type StateLayout, stateLayout } from './states.ts';
import { structs } from './structs.ts';

const STACK_BYTES = 64 * 1024;
/** Rows of logits that one pass over the head makes; a step that wants more runs its tail again. */
const MAX_OUTPUTS = 64;
const POOL_BYTES = 4 * structs.pool_block.WORDS;
const STEP_BYTES = 4 * structs.step.WORDS;
const SEGMENT_BYTES = 4 * structs.segment.WORDS;
export const ARGUMENT_BYTES = 256; // room for any argument struct

export interface LayoutOptions {
  slots: number;
  numerics: Numerics;
  threads: number;
  gap?: number; // bytes between regions, for sanitizers
  lift?: number; // bytes left out below the weights, for tests of 64-bit addresses
}

/** Where the parts of a step's description lie. Offsets are bytes. */
export interface ControlLayout {
  pool: number; // pool_block
  step: number; // step
  segments: number; // segment[maxSegments]
  maxSegments: number;
  ids: number; // i32[chunk]
  outputs: number; // output[maxOutputs]
  maxOutputs: number;
  logitRows: number; // u32[maxOutputs]
  calls: number; // call[calls.length]
  arguments: number; // ARGUMENT_BYTES a call
  stacks: readonly number[]; // upper ends, of the threads 1 …
}

/** Everything's place in the linear memory, decided before it exists. */
export interface Layout extends ControlLayout {
  program: Program;
  /** As encoded: `sample` follows `logits` always, for the sake of targets. */
  callList: readonly OpCall[];
  /** Of `callList`: where the part begins that only outputs need. */
  tail: number;
  slots: number;
  threads: number;
  numerics: Numerics;
  plan: MemoryPlan;
  regions: readonly Region[];
  vectors: ReadonlyMap<string, number>; // f32[n], or f32[k][channels] for a weight [channels, k]
  linears: ReadonlyMap<string, { offset: number; packed: PackedWeight }>;
  buffers: ReadonlyMap<string, { offset: number; stride: number; width: number }>; // stride in floats
  states: ReadonlyMap<string, { offset: number; stride: number; layout: StateLayout }>; // stride in bytes
  logits: number; // f32[maxOutputs][logitsStride]
  logitsStride: number; // floats
  scratch: number;
}

/** Pure: the same arguments give the same addresses. */
export function layOut(program: Program, formats: WeightFormats, options: LayoutOptions): Layout {
  const arena = new Arena(options.gap);
  const callList = withSample(program);
  const control = takeControl(arena, program, callList.length, options);
  const logitsStride = ceilTo(program.vocabSize, 16);
  const logits = arena.take('logits', 4 * control.maxOutputs * logitsStride).offset; // below 4 GiB: see pack_wasm.ts
  arena.skip(options.lift ?? 0);
  const weights = takeWeights(arena, program, formats, options.numerics);
  const { states, stateBytes } = takeStates(arena, program, options.slots);
  const buffers = new Map(
    Object.entries(program.buffers).map(([name, { width }]) => {
      const stride = ceilTo(width, 4);
      return [name, { offset: arena.take(name, 4 * program.chunk * stride).offset, stride, width }];
    }),
  );
  const { numerics, threads } = options;
  const packed = (name: string) => weights.linears.get(name)!.packed;
  const needs = callList.map((call) => scratchOf(call, { program, numerics, threads, packed }));
  const scratchBytes = needs.map(({ shared, perThread }) => shared + threads * perThread);
  const scratch = arena.take('scratch', Math.max(0, ...scratchBytes)).offset;
  return {
    program,
    callList,
    tail: callList.findIndex((call) => call.op === 'logits'),
    slots: options.slots,
    threads,
    numerics,
    plan: {
      weightBytes: weights.bytes,
      stateBytes,
      scratchBytes: arena.bytes - weights.bytes - stateBytes,
      totalBytes: arena.bytes,
    },
    regions: arena.regions,
    ...control,
    vectors: weights.vectors,
    linears: weights.linears,
    buffers,
    states,
    logits,
    logitsStride,
    scratch,
  };
}

function withSample(program: Program): OpCall[] {
  const calls = program.calls.filter((call) => call.op !== 'sample');
  return calls.flatMap((call): OpCall[] => (call.op === 'logits' ? [call, { op: 'sample' }] : [call]));
}

function takeControl(
  arena: Arena,
  program: Program,
  nCalls: number,
  { slots, threads }: LayoutOptions,
): ControlLayout {
  const { chunk } = program;
  const maxOutputs = Math.min(chunk, MAX_OUTPUTS);
  const maxSegments = Math.min(chunk, slots);
  const take = (name: string, bytes: number) => arena.take(name, bytes).offset;
  return {
    maxOutputs,
    maxSegments,
    pool: take('pool', POOL_BYTES),
    step: take('step', STEP_BYTES),
    segments: take('segments', SEGMENT_BYTES * maxSegments),
    ids: take('ids', 4 * chunk),
    logitRows: take('rows of logits', 4 * maxOutputs),
    calls: take('calls', 4 * structs.call.WORDS * nCalls),
    arguments: take('arguments', ARGUMENT_BYTES * nCalls),
    outputs: take('outputs', 4 * structs.output.WORDS * maxOutputs),
    stacks: Array.from({ length: threads - 1 }, (_, i) => take(`stack ${i + 1}`, STACK_BYTES) + STACK_BYTES),
  };
}

function takeWeights(arena: Arena, program: Program, formats: WeightFormats, numerics: Numerics) {
  const vectors = new Map<string, number>();
  const linears = new Map<string, { offset: number; packed: PackedWeight }>();
  let bytes = 0;
  for (const [name, { shape, role }] of Object.entries(program.weights)) {
    const begin = arena.regions.length;
    if (role === 'vector') {
      vectors.set(name, arena.take(name, 4 * elementCount(shape)).offset);
    } else {
      const format = formats[name];
      if (!format) throw new EdgeError('INTERNAL', `no format for weight '${name}'`);
      const packed = packedWeight(shape as [number, number], format, numerics);
      linears.set(name, { offset: arena.take(name, packed.bytes).offset, packed });
    }
    bytes += arena.regions[begin]!.bytes;
  }
  return { vectors, linears, bytes };
}

function takeStates(arena: Arena, program: Program, slots: number) {
  const states = new Map<string, { offset: number; stride: number; layout: StateLayout }>();
  let stateBytes = 0;
  for (const name of Object.keys(program.states)) {
    const layout = stateLayout(program, name);
    const stride = ceilTo(4 * layout.floats, 64);
    const region = arena.take(name, stride * slots);
    states.set(name, { offset: region.offset, stride, layout });
    stateBytes += region.bytes;
  }
  return { states, stateBytes };
}
