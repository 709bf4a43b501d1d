// Reading rows of logits with one workgroup. A thread has every THREADS-th vector of a row, and asks for several before
// it looks at the first.
const VECTORS = LOGITS_STRIDE / 4u;
const STRIDE = 4u * THREADS;

struct Source {
  first: u32, // vector
  temperature: f32, // by which all are divided
  adjusted: bool, // of `adjusted`, not of `logits`
}

// Vectors i, i + step, i + 2 · step, i + 3 · step of a row; LOWEST beyond the vocabulary.
fn four_at(source: Source, i: u32, step: u32) -> mat4x4<f32> {
  let all = i + step * vec4<u32>(0u, 1u, 2u, 3u);
  let at = source.first + min(all, vec4<u32>(VECTORS - 1u));
  var four = mat4x4<f32>();
  if (source.adjusted) {
    four = mat4x4<f32>(adjusted[at.x], adjusted[at.y], adjusted[at.z], adjusted[at.w]);
  } else {
    four = mat4x4<f32>(logits[at.x], logits[at.y], logits[at.z], logits[at.w]);
  }
  let t = vec4<f32>(source.temperature);
  if (source.temperature != 1.0) { four = mat4x4<f32>(four[0] / t, four[1] / t, four[2] / t, four[3] / t); }
  if (4u * all.w + 4u > VOCAB) {
    four = mat4x4<f32>(known(four[0], all.x), known(four[1], all.y), known(four[2], all.z), known(four[3], all.w));
  }
  return four;
}
fn known(values: vec4<f32>, i: u32) -> vec4<f32> {
  return select(vec4<f32>(LOWEST), values, ids_of(i) < vec4<u32>(VOCAB));
}
fn ids_of(i: u32) -> vec4<u32> { return 4u * i + vec4<u32>(0u, 1u, 2u, 3u); }

// Of the values that a thread has.
struct Summary {
  best: f32,
  best_id: u32, // the lowest of equals; VOCAB if there are none
  mass: f32, // sum of exp(value - best); negative if a value is NaN or infinite
}

fn summary_of(source: Source, lane: u32) -> Summary {
  var best = vec4<f32>(LOWEST);
  var best_id = vec4<u32>(VOCAB);
  var most = LOWEST;
  var mass = 0.0;
  var faulty = vec4<bool>();
  for (var i = lane; i < VECTORS; i += STRIDE) {
    let four = four_at(source, i, THREADS);
    let larger = max(max(four[0], four[1]), max(four[2], four[3]));
    let high = max(most, max(max(larger.x, larger.y), max(larger.z, larger.w)));
    mass *= exp(most - high);
    most = high;
#repeat FOUR
    let above$i = four[$i] > best;
    best = select(best, four[$i], above$i);
    best_id = select(best_id, ids_of(i + $i * THREADS), above$i);
    mass += dot(exp(four[$i] - high), vec4<f32>(1.0));
    faulty = faulty | ((bitcast<vec4<u32>>(four[$i]) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f7fffffu));
#end
  }
  let found = first_of(best, best_id);
  return Summary(found.best, found.best_id, select(mass * exp(most - found.best), -1.0, any(faulty)));
}

// The largest value of a thread that comes after `limit` of `limit_id`, in the order of falling values and rising ids.
fn largest_below(source: Source, limit: f32, limit_id: u32, lane: u32) -> Summary {
  var best = vec4<f32>(LOWEST);
  var best_id = vec4<u32>(VOCAB);
  for (var i = lane; i < VECTORS; i += STRIDE) {
    let four = four_at(source, i, THREADS);
#repeat FOUR
    let ids$i = ids_of(i + $i * THREADS);
    let after$i = (four[$i] < vec4<f32>(limit)) | ((four[$i] == vec4<f32>(limit)) & (ids$i > vec4<u32>(limit_id)));
    let above$i = after$i & (four[$i] > best);
    best = select(best, four[$i], above$i);
    best_id = select(best_id, ids$i, above$i);
#end
  }
  return first_of(best, best_id);
}

fn first_of(best: vec4<f32>, best_id: vec4<u32>) -> Summary {
  let most = max(max(best.x, best.y), max(best.z, best.w));
  let equal = select(vec4<u32>(VOCAB), best_id, best == vec4<f32>(most));
  return Summary(most, min(min(equal.x, equal.y), min(equal.z, equal.w)), 0.0);
}

// Of the values that all threads have.
var<workgroup> masses: array<f32, THREADS>;
fn whole_of(own: Summary, lane: u32) -> Summary {
  workgroupBarrier();
  numbers[lane] = own.best;
  ids[lane] = own.best_id;
  masses[lane] = own.mass;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      let other = numbers[lane + half];
      let best = max(numbers[lane], other);
      let mass = masses[lane] * exp(numbers[lane] - best) + masses[lane + half] * exp(other - best);
      masses[lane] = select(mass, -1.0, min(masses[lane], masses[lane + half]) < 0.0);
      if (other > numbers[lane] || (other == best && ids[lane + half] < ids[lane])) { ids[lane] = ids[lane + half]; }
      numbers[lane] = best;
    }
    workgroupBarrier();
  }
  return Summary(workgroupUniformLoad(&numbers[0]), workgroupUniformLoad(&ids[0]), workgroupUniformLoad(&masses[0]));
}
