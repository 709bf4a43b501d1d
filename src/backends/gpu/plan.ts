import type { Program } from '../../ops/program.ts';
import type { Numerics } from '../../types.ts';
import type { MemoryPlan, WeightFormats } from '../types.ts';
import type { Features, Launch, Range } from './launch.ts';
import { launchesOf } from './launches.ts';
import {
  type BufferKind,
  type PlannedBuffer,
  type PlannedLinear,
  type PlannedState,
  Planner,
  type PlanOptions,
} from './planner.ts';
import { tuningOf } from './tuning.ts';

/** A program on a GPU: its buffers, and its launches in order. */
export interface GpuPlan {
  readonly program: Program;
  readonly features: Features;
  readonly options: PlanOptions;
  readonly memory: MemoryPlan;
  readonly buffers: ReadonlyMap<string, PlannedBuffer>;
  readonly launches: readonly Launch<Range>[];
  /** Of `launches`: where the part begins that only outputs need. */
  readonly tail: number;
  readonly linears: ReadonlyMap<string, PlannedLinear>;
  readonly vectors: ReadonlyMap<string, readonly number[]>; // bytes in 'vectors', of every copy
  readonly states: ReadonlyMap<string, PlannedState>;
  readonly activations: ReadonlyMap<string, PlannedActivation>;
  readonly maxOutputs: number;
  readonly maxSegments: number;
  readonly logitsStride: number; // floats
  /** Do a few rows of x meet quantized weights as integers? */
  readonly packedDots: boolean;
  /** Do many rows of x meet weights as f16? */
  readonly f16: boolean;
  /** Of activations where they meet weights: 'i16' stands for f16, too. */
  readonly numerics: Numerics;
}

export interface PlannedActivation {
  buffer: string;
  width: number;
  stride: number; // floats from row to row
}

/** Pure: nothing is allocated. Throws OUT_OF_MEMORY for what no binding holds. */
export function makePlan(
  program: Program,
  formats: WeightFormats,
  features: Features,
  options: PlanOptions,
  tuning = tuningOf(features),
): GpuPlan {
  const planner = new Planner(program, formats, features, options, tuning);
  const { launches, tail } = launchesOf(planner);
  planner.takeVectors();
  const { buffers, linears, vectors, states, maxOutputs, maxSegments, logitsStride } = planner;
  const { packedDots, f16 } = planner;
  return Object.freeze({
    ...{ program, features, options, tail, buffers, linears, vectors, states },
    ...{ maxOutputs, maxSegments, logitsStride, packedDots, f16 },
    launches: launches.map((launch) => ({
      ...launch,
      slices: Object.fromEntries(
        Object.entries(launch.slices).map(([name, slice]) => [name, planner.range(slice)]),
      ),
    })),
    activations: new Map(
      Object.entries(program.buffers).map(([name, { width }]) => {
        const { buffer } = planner.activation({ buffer: name, offset: 0, width });
        return [name, { buffer, width, stride: planner.stride(name) }];
      }),
    ),
    memory: memoryOf(buffers),
    numerics: packedDots || f16 ? 'i16' : 'exact',
  });
}

function memoryOf(buffers: ReadonlyMap<string, PlannedBuffer>): MemoryPlan {
  const sum = (kind: BufferKind) =>
    [...buffers.values()].reduce((bytes, buffer) => bytes + (buffer.kind === kind ? buffer.bytes : 0), 0);
  const [weightBytes, stateBytes, scratchBytes] = [sum('weights'), sum('state'), sum('scratch')];
  return { weightBytes, stateBytes, scratchBytes, totalBytes: weightBytes + stateBytes + scratchBytes };
}
