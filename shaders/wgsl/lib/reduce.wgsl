// Reductions over a workgroup of THREADS, uniform in all of them.
const LOWEST = -3.4e38;
var<workgroup> numbers: array<f32, THREADS>;
var<workgroup> ids: array<u32, THREADS>;

fn sum_of(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  numbers[lane] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (lane < half) { numbers[lane] += numbers[lane + half]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&numbers[0]);
}
fn count_of(value: u32, lane: u32) -> u32 {
  workgroupBarrier();
  ids[lane] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (lane < half) { ids[lane] += ids[lane + half]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&ids[0]);
}
// The sums of the threads up to this one; that of all is the last of `numbers` or `ids`.
fn sum_to(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  numbers[lane] = value;
  workgroupBarrier();
  for (var step = 1u; step < THREADS; step *= 2u) {
    var more = 0.0;
    if (lane >= step) { more = numbers[lane - step]; }
    workgroupBarrier();
    numbers[lane] += more;
    workgroupBarrier();
  }
  return numbers[lane];
}
fn count_to(value: u32, lane: u32) -> u32 {
  workgroupBarrier();
  ids[lane] = value;
  workgroupBarrier();
  for (var step = 1u; step < THREADS; step *= 2u) {
    var more = 0u;
    if (lane >= step) { more = ids[lane - step]; }
    workgroupBarrier();
    ids[lane] += more;
    workgroupBarrier();
  }
  return ids[lane];
}
