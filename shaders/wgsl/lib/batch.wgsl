const ENDED = 0xffffffffu; // the id of a row that goes no further: its slot stays as it is
// The rows of a step. CHUNK, SEGMENTS and OUTPUTS are the most that there can be.
struct Row {
  id: u32,
  slot: u32,
  position: u32,
  segment: u32,
}
struct Segment {
  slot: u32,
  position: u32, // of its first row
  first: u32, // row
  rows: u32,
}
struct Batch {
  rows: u32,
  segments: u32,
  logit_rows: u32,
  outputs: u32,
  goes_on: u32, // 1: the sampled tokens are the rows of a step that follows
  unused0: u32,
  unused1: u32,
  unused2: u32,
  row: array<Row, CHUNK>,
  segment: array<Segment, SEGMENTS>,
  logit_row: array<u32, OUTPUTS>,
}
