#include batch weight
// y = scale · table[id]. One thread a column; the table's rows here are FIRST … FIRST + ROWS.
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(3) var<storage, read_write> y_out: array<f32>;

@compute @workgroup_size(64)
fn embed(@builtin(global_invocation_id) at: vec3<u32>) {
  let c = at.x;
  let id = batch.row[at.y].id;
  if (c >= COLS || id < FIRST || id >= FIRST + ROWS) { return; }
  y_out[at.y * Y_STRIDE + Y_OFFSET + c] = SCALE * weight_at(id - FIRST, c);
}
