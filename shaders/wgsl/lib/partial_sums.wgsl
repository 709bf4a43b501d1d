// The only row of x, where it has yet to be added up: the residual and what each workgroup of mamba2_decode left of the
// projection after it, y = x + PARTIAL_SCALE · inverse · Σ partial sums. Every workgroup adds; one also keeps the new residual.
#if PARTIAL_SUMS
@group(0) @binding(9) var<storage, read> partial_sums: array<vec4<f32>>; // [N_PARTIAL_SUMS][SUM_VECTORS + 1]
@group(0) @binding(10) var<storage, read_write> x_out: array<vec4<f32>>;
const SUM_VECTORS = COLS / 4u; // of products; the sum of squares follows
var<workgroup> row_sum: array<vec4<f32>, SUM_VECTORS>;

fn add_partial_sums(place: Place, keeps: bool) {
  let thread = place.thread;
#if PARTIAL_SUMS_NORMED
  var square = 0.0;
#if SUBGROUPS
  for (var s = place.sg_lane; s < N_PARTIAL_SUMS; s += place.sg_size) {
    square += partial_sums[s * (SUM_VECTORS + 1u) + SUM_VECTORS].x;
  }
  square = subgroupAdd(square);
#else
  for (var s = 0u; s < N_PARTIAL_SUMS; s++) { square += partial_sums[s * (SUM_VECTORS + 1u) + SUM_VECTORS].x; }
#endif
#endif
  for (var i = thread; i < SUM_VECTORS; i += THREADS) {
    let before = x_in[X_OFFSET / 4u + i];
    var sum = vec4<f32>();
#repeat N_PARTIAL_SUMS
    let partial$i = partial_sums[$i * (SUM_VECTORS + 1u) + i];
#end
#repeat N_PARTIAL_SUMS
    sum += partial$i;
#end
#if PARTIAL_SUMS_NORMED
    sum *= 1.0 / sqrt(square / PARTIAL_COLS + PARTIAL_EPS);
#endif
    let after = before + PARTIAL_SCALE * sum;
    row_sum[i] = after;
    if (keeps) { x_out[i] = after; }
  }
  workgroupBarrier();
}
#endif
