// Sums over a workgroup of THREADS, in every thread. NaN stays NaN.
#if SUBGROUPS
// Takes it that a subgroup's threads follow each other by index.
var<workgroup> partials: array<vec4<f32>, THREADS>;
fn workgroup_sum4(value: vec4<f32>, lane: u32, sg_size: u32, sg_lane: u32) -> vec4<f32> {
  let sum = subgroupAdd(value);
  if (THREADS <= sg_size) { return sum; }
  workgroupBarrier();
  if (sg_lane == 0u) { partials[lane / sg_size] = sum; }
  workgroupBarrier();
  var total = vec4<f32>();
  for (var i = 0u; i < THREADS / sg_size; i++) { total += partials[i]; }
  return total;
}
#else
var<workgroup> partials: array<vec4<f32>, THREADS>;
fn workgroup_sum4(value: vec4<f32>, lane: u32, sg_size: u32, sg_lane: u32) -> vec4<f32> {
  workgroupBarrier();
  partials[lane] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (lane < half) { partials[lane] += partials[lane + half]; }
    workgroupBarrier();
  }
  return partials[0];
}
#endif
