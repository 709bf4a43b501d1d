import { EdgeError } from '../../errors.ts';
import { checkStep } from '../common/checks.ts';
import type { Output, Step } from '../types.ts';
import type { Layout } from './layout.ts';
import { addressOf } from './memory.ts';
import type { Outputs } from './outputs.ts';
import { structs, writeFields } from './structs.ts';

const { step: STEP, segment: SEGMENT } = structs;

/** Writes a step's description to where the module reads it. Allocates nothing. */
export class StepWriter {
  private readonly words: Uint32Array; // [STEP.WORDS]
  private readonly segments: Uint32Array; // [maxSegments · SEGMENT.WORDS]
  private readonly ids: Int32Array; // [chunk]
  private readonly logitRows: Uint32Array; // [maxOutputs]

  constructor(
    buffer: ArrayBufferLike,
    private readonly layout: Layout,
    sum16: boolean,
  ) {
    const { program, maxSegments, maxOutputs, segments, ids, outputs, scratch, logitRows, logits } = layout;
    this.words = new Uint32Array(buffer, layout.step, STEP.WORDS);
    this.segments = new Uint32Array(buffer, layout.segments, maxSegments * SEGMENT.WORDS);
    this.ids = new Int32Array(buffer, layout.ids, program.chunk);
    this.logitRows = new Uint32Array(buffer, layout.logitRows, maxOutputs);
    writeFields(this.words, STEP, {
      segments: addressOf(segments),
      ids: addressOf(ids),
      outputs: addressOf(outputs),
      scratch: addressOf(scratch),
      logit_rows: addressOf(logitRows),
      logits: addressOf(logits),
      logits_stride: layout.logitsStride,
      calls: addressOf(layout.calls),
      sum16: Number(sum16),
    });
  }

  /** Rows and segments. Throws INTERNAL for a step that contradicts itself or the program. */
  write(step: Step): void {
    const { ids, segments, outputs } = step;
    checkStep('WASM step', step, this.layout.program, this.layout.slots);
    if (outputs.length > 0 && this.layout.tail < 0) throw fault('outputs of a program without logits');
    let rows = 0;
    for (const [i, segment] of segments.entries()) {
      const at = i * SEGMENT.WORDS;
      this.segments[at + SEGMENT.slot] = segment.slot;
      this.segments[at + SEGMENT.position] = segment.position;
      this.segments[at + SEGMENT.first] = rows;
      this.segments[at + SEGMENT.rows] = segment.rows;
      rows += segment.rows;
    }
    this.ids.set(ids);
    this.words[STEP.rows] = rows;
    this.words[STEP.n_segments] = segments.length;
  }

  /** Outputs, at most maxOutputs, and the distinct rows that they name. */
  writeOutputs(part: readonly Output[], outputs: Outputs): void {
    let rows = 0;
    for (const [i, output] of part.entries()) {
      if (i === 0 || output.row !== part[i - 1]!.row) this.logitRows[rows++] = output.row;
      outputs.write(i, rows - 1, output);
    }
    this.words[STEP.n_outputs] = part.length;
    this.words[STEP.n_logits] = rows;
  }

  /** The calls to run, and on how many threads. */
  writeRange(first: number, last: number, threads: number): void {
    this.words[STEP.first_call] = first;
    this.words[STEP.last_call] = last;
    this.words[STEP.threads] = threads;
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WASM step: ${message}`);
}
