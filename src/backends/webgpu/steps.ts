import { EdgeError } from '../../errors.ts';
import type { Output, Step } from '../types.ts';
import type { Plan, Shape } from './plan.ts';

const HEADER_WORDS = 8; // rows, segments, logit_rows, outputs, ahead, and room
const RECORD_WORDS = 4; // of a row, of a segment

/** Bytes of `Batch` in shaders/wgsl/lib/batch.wgsl. */
export function batchBytes(chunk: number, segments: number, outputs: number): number {
  return 4 * (HEADER_WORDS + RECORD_WORDS * (chunk + segments) + outputs);
}

/** A step as the kernels read it. Allocates nothing once made. */
export class StepWriter {
  readonly words: Uint32Array<ArrayBuffer>; // the whole of Batch

  constructor(private readonly plan: Plan) {
    const { program, maxSegments, maxOutputs } = plan;
    this.words = new Uint32Array(batchBytes(program.chunk, maxSegments, maxOutputs) / 4);
  }

  /** Rows and segments. Throws INTERNAL for a step that contradicts itself or the program. */
  write({ ids, segments, outputs }: Step): Shape {
    const { program, maxSegments, options, tail, launches } = this.plan;
    const { words } = this;
    const segmentsAt = HEADER_WORDS + RECORD_WORDS * program.chunk;
    if (segments.length > maxSegments) throw fault(`${segments.length} segments in ${options.slots} slots`);
    let rows = 0;
    for (const [i, segment] of segments.entries()) {
      const { slot, position } = segment;
      if (!(slot >= 0 && slot < options.slots && position >= 0 && segment.rows >= 1))
        throw fault(`segment of slot ${slot} at ${position}, ${segment.rows} rows`);
      words.set([slot, position, rows, segment.rows], segmentsAt + i * RECORD_WORDS);
      for (let t = 0; t < segment.rows && rows < program.chunk; t++, rows++) {
        const id = ids[rows] ?? -1;
        if (!(id >= 0 && id < program.vocabSize))
          throw fault(`id ${id} in a vocabulary of ${program.vocabSize}`);
        words.set([id, slot, position + t, i], HEADER_WORDS + rows * RECORD_WORDS);
      }
    }
    const total = segments.reduce((sum, segment) => sum + segment.rows, 0);
    if (total !== ids.length || total < 1 || total > program.chunk)
      throw fault(`${total} rows in segments, ${ids.length} ids, chunk ${program.chunk}`);
    for (const [i, { row }] of outputs.entries())
      if (!(row >= (outputs[i - 1]?.row ?? 0) && row < rows)) throw fault(`output ${i} of row ${row}`);
    if (outputs.length > 0 && tail === launches.length - 1)
      throw fault('outputs of a program without logits');
    words[0] = rows;
    words[1] = segments.length;
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

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WebGPU step: ${message}`);
}
