#include linear
// Puts together what workgroups of matmul_matrix made of SPLIT parts of the columns. One thread a row of W.
@group(0) @binding(9) var<storage, read> parts: array<f32>; // [SPLIT][PART_ROWS][ROWS]

@compute @workgroup_size(64)
fn sum_parts(@builtin(global_invocation_id) at: vec3<u32>) {
  let out = at.x;
  if (out >= ROWS) { return; }
  var sum = 0.0;
#repeat SPLIT
  sum += parts[($i * PART_ROWS + at.y) * ROWS + out];
#end
  put(at.y, out, sum);
}
