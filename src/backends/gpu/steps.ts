import { EdgeError } from '../../errors.ts';
import { checkStep } from '../common/checks.ts';
import type { Output, Step } from '../types.ts';
import { batchBytes, HEADER_WORDS, RECORD_WORDS } from './batch.ts';
import type { StepShape } from './launch.ts';
import type { GpuPlan } from './plan.ts';

/** A step as the kernels read it. Allocates nothing once made. */
export class StepWriter {
  readonly words: Uint32Array<ArrayBuffer>; // the whole of Batch

  constructor(private readonly plan: GpuPlan) {
    const { program, maxSegments, maxOutputs } = plan;
    this.words = new Uint32Array(batchBytes(program.chunk, maxSegments, maxOutputs) / 4);
  }

  /** Rows and segments; `goesOn`: others follow from what this step samples. Throws INTERNAL for a step that contradicts itself or the program. */
  write(step: Step, goesOn: boolean): StepShape {
    const { ids, segments, outputs } = step;
    const { program, options, tail, launches } = this.plan;
    checkStep('GPU step', step, program, options.slots);
    if (outputs.length > 0 && tail === launches.length)
      throw new EdgeError('INTERNAL', 'GPU step: outputs of a program without logits');
    const { words } = this;
    const segmentsAt = HEADER_WORDS + RECORD_WORDS * program.chunk;
    let rows = 0;
    for (const [i, segment] of segments.entries()) {
      const { slot, position } = segment;
      words.set([slot, position, rows, segment.rows], segmentsAt + i * RECORD_WORDS);
      for (let t = 0; t < segment.rows; t++, rows++)
        words.set([ids[rows]!, slot, position + t, i], HEADER_WORDS + rows * RECORD_WORDS);
    }
    words[0] = rows;
    words[1] = segments.length;
    words[4] = goesOn ? 1 : 0;
    const single = segments.length === rows;
    return { rows, segments: segments.length, logitRows: 0, outputs: 0, single };
  }

  /** Outputs, at most maxOutputs, and the distinct rows that they name; returns the row of logits of each. */
  writeOutputs(part: readonly Output[]): { logitRows: number; of: number[] } {
    const { words } = this;
    const { program, maxSegments } = this.plan;
    const at = HEADER_WORDS + RECORD_WORDS * (program.chunk + maxSegments);
    let logitRows = 0;
    const of = part.map(({ row }, i) => {
      if (i === 0 || row !== part[i - 1]!.row) words[at + logitRows++] = row;
      return logitRows - 1;
    });
    words[2] = logitRows;
    words[3] = part.length;
    return { logitRows, of };
  }
}
