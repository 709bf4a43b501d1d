import type { Program } from '../../ops/program.ts';
import { elementCount } from '../../weights/shape.ts';
import { checkBudget } from '../common/checks.ts';
import type { Backend, ExecutorOptions, MemoryPlan } from '../types.ts';
import { ReferenceExecutor } from './executor.ts';

const BYTES = 8; // everything is float64

/** Plain TypeScript in float64: what the other backends are compared with. For tests only. */
export const reference: Backend = {
  name: 'reference',
  unavailable: async () => null,
  plan: (program, _formats, options) => plan(program, options),
  async create(program, _formats, options) {
    const memory = plan(program, options);
    checkBudget('reference', memory.totalBytes, options.memoryBudget);
    return new ReferenceExecutor(program, options, memory);
  },
};

function plan(program: Program, options: ExecutorOptions): MemoryPlan {
  const size = (shapes: (readonly number[])[]) =>
    BYTES * shapes.reduce((sum, shape) => sum + elementCount(shape), 0);
  const weightBytes = size(Object.values(program.weights).map((spec) => spec.shape));
  const stateBytes = options.slots * size(Object.values(program.states).map((spec) => spec.shape));
  const scratchBytes = size(Object.values(program.buffers).map(({ width }) => [program.chunk, width]));
  return { weightBytes, stateBytes, scratchBytes, totalBytes: weightBytes + stateBytes + scratchBytes };
}
