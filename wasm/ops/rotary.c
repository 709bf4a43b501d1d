#include "rotary.h"
#include "../math.h"
#include "../math64.h"

typedef struct { // for each pair of columns
  f32 cosine[MAX_ROTARY / 2];
  f32 sine[MAX_ROTARY / 2];
} turns;

// Rounded to f32 where published code is.
static void turn(turns *to, const f32 *inverse, u32 half, u32 position) {
  for (u32 i = 0; i < half; i++) {
    f64 cosine, sine;
    turn64((f32)position * inverse[i], &cosine, &sine);
    to->cosine[i] = (f32)cosine;
    to->sine[i] = (f32)sine;
  }
}

static void rotate(f32 *x, const turns *by, u32 half) {
  for (u32 i = 0; i < half; i++) {
    const f32 a = x[i], b = x[half + i];
    x[i] = a * by->cosine[i] - b * by->sine[i];
    x[half + i] = b * by->cosine[i] + a * by->sine[i];
  }
}

OP(rotary) {
  const rotary_args *a = arguments;
  const segment *segments = AT(const segment, s->segments);
  const u32 half = a->dims / 2;
  u32 begin, end;
  share(t, s->rows, 1, &begin, &end);
  f32 inverse[MAX_ROTARY / 2];
  const f64 ln_theta = ln64(a->theta);
  for (u32 i = 0; i < half; i++) inverse[i] = 1.0f / (f32)exp64((f32)(2 * i) / (f32)a->dims * ln_theta);
  for (u32 g = 0; g < s->n_segments; g++)
    for (u32 row = segments[g].first; row < segments[g].first + segments[g].rows; row++) {
      if (row < begin || row >= end) continue;
      turns by;
      turn(&by, inverse, half, segments[g].position + row - segments[g].first);
      f32 *x = view_row(&a->x, row);
      for (u32 at = 0; at < a->x.width; at += a->head_dim) rotate(x + at, &by, half);
    }
}
