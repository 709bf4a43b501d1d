// The only row of x, where it has yet to be added up: the residual and what each workgroup of mamba2_decode left of the
// projection after it, y = x + SHARE_SCALE · inverse · Σ shares. Every workgroup adds; one also keeps the new residual.
#if SHARES
@group(0) @binding(9) var<storage, read> shares: array<vec4<f32>>; // [N_SHARES][SHARE + 1]: products, sum of squares
@group(0) @binding(10) var<storage, read_write> x_out: array<vec4<f32>>;
const SHARE = COLS / 4u;
var<workgroup> row_sum: array<vec4<f32>, SHARE>;

fn add_shares(place: Place, keeps: bool) {
  let thread = place.thread;
#if SHARES_NORMED
  var square = 0.0;
#if SUBGROUPS
  for (var s = place.sg_lane; s < N_SHARES; s += place.sg_size) { square += shares[s * (SHARE + 1u) + SHARE].x; }
  square = subgroupAdd(square);
#else
  for (var s = 0u; s < N_SHARES; s++) { square += shares[s * (SHARE + 1u) + SHARE].x; }
#endif
#endif
  for (var i = thread; i < SHARE; i += THREADS) {
    let before = x_in[X_OFFSET / 4u + i];
    var sum = vec4<f32>();
#repeat N_SHARES
    let share$i = shares[$i * (SHARE + 1u) + i];
#end
#repeat N_SHARES
    sum += share$i;
#end
#if SHARES_NORMED
    sum *= 1.0 / sqrt(square / SHARE_COLS + SHARE_EPS);
#endif
    let after = before + SHARE_SCALE * sum;
    row_sum[i] = after;
    if (keeps) { x_out[i] = after; }
  }
  workgroupBarrier();
}
#endif
