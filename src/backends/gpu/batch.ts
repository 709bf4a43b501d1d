// The struct `Batch` of shaders/wgsl/lib/batch.wgsl.
export const HEADER_WORDS = 8; // rows, segments, logit_rows, outputs, goes_on, and room
export const RECORD_WORDS = 4; // of a row, of a segment

/** Bytes of all of it. */
export function batchBytes(chunk: number, segments: number, outputs: number): number {
  return 4 * (HEADER_WORDS + RECORD_WORDS * (chunk + segments) + outputs);
}
