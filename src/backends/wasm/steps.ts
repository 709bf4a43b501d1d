import { EdgeError } from '../../errors.ts';
import { checkStep } from '../common/checks.ts';
import type { Output, Step } from '../types.ts';
import type { Layout } from './layout.ts';
import { addressOf } from './memory.ts';
import type { Outputs } from './outputs.ts';

// The C struct `step` of wasm/step.h, in words.
const ROWS = 0;
const N_SEGMENTS = 1;
const N_OUTPUTS = 2;
const SEGMENTS = 3; // and ids, outputs, scratch
const N_LOGITS = 7;
const LOGIT_ROWS = 8; // and logits, logits_stride
const FIRST_CALL = 11; // and last_call, threads
const NARROW = 14;
const STEP_WORDS = 15;
const SEGMENT_WORDS = 4;

/** Writes a step's description to where the module reads it. Allocates nothing. */
export class StepWriter {
  private readonly words: Uint32Array; // [STEP_WORDS]
  private readonly segments: Uint32Array; // [maxSegments · SEGMENT_WORDS]
  private readonly ids: Int32Array; // [chunk]
  private readonly logitRows: Uint32Array; // [maxOutputs]

  constructor(
    buffer: ArrayBufferLike,
    private readonly layout: Layout,
    narrow: boolean,
  ) {
    const { program, maxSegments, maxOutputs, segments, ids, outputs, scratch, logitRows, logits } = layout;
    this.words = new Uint32Array(buffer, layout.step, STEP_WORDS);
    this.segments = new Uint32Array(buffer, layout.segments, maxSegments * SEGMENT_WORDS);
    this.ids = new Int32Array(buffer, layout.ids, program.chunk);
    this.logitRows = new Uint32Array(buffer, layout.logitRows, maxOutputs);
    this.words.set([segments, ids, outputs, scratch].map(addressOf), SEGMENTS);
    this.words.set([addressOf(logitRows), addressOf(logits), layout.logitsStride], LOGIT_ROWS);
    this.words[NARROW] = Number(narrow);
  }

  /** Rows and segments. Throws INTERNAL for a step that contradicts itself or the program. */
  write(step: Step): void {
    const { ids, segments, outputs } = step;
    checkStep('WASM step', step, this.layout.program, this.layout.slots);
    if (outputs.length > 0 && this.layout.tail < 0) throw fault('outputs of a program without logits');
    let rows = 0;
    for (const [i, segment] of segments.entries()) {
      this.segments.set([segment.slot, segment.position, rows, segment.rows], i * SEGMENT_WORDS);
      rows += segment.rows;
    }
    this.ids.set(ids);
    this.words[ROWS] = rows;
    this.words[N_SEGMENTS] = segments.length;
  }

  /** Outputs, at most maxOutputs, and the distinct rows that they name. */
  writeOutputs(part: readonly Output[], outputs: Outputs): void {
    let rows = 0;
    for (const [i, output] of part.entries()) {
      if (i === 0 || output.row !== part[i - 1]!.row) this.logitRows[rows++] = output.row;
      outputs.write(i, rows - 1, output);
    }
    this.words[N_OUTPUTS] = part.length;
    this.words[N_LOGITS] = rows;
  }

  /** The calls to run, and on how many threads. */
  writeRange(first: number, last: number, threads: number): void {
    this.words[FIRST_CALL] = first;
    this.words[FIRST_CALL + 1] = last;
    this.words[FIRST_CALL + 2] = threads;
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WASM step: ${message}`);
}
