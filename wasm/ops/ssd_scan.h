#ifndef EDGE_SSD_SCAN_H
#define EDGE_SSD_SCAN_H
#include "../step.h"

// A head's state lies as [headdim / 16][d_state][16], the last block as narrow as headdim, rounded up to 4, leaves it:
// B[n] and C[n] are then splats over 4-wide channels, and y stays in registers.
enum { SSD_BLOCK = 16 };

typedef struct {
  view x;          // [rows, nheads · headdim]
  view B;          // [rows, ngroups · d_state]
  view C;          // [rows, ngroups · d_state]
  view dt;         // [rows, nheads]
  view y;          // [rows, nheads · headdim], may be x
  state_ref state; // f32[nheads][ceil4(headdim) · d_state]
  u32 dt_bias;     // f32[nheads]
  u32 A;           // f32[nheads]
  u32 D;           // f32[nheads] or f32[nheads · headdim]
  u32 nheads;
  u32 headdim;
  u32 d_state;
  u32 ngroups;
  u32 D_has_hdim;
  f32 dt_min;
  f32 dt_max;
  u32 scratch_stride; // of step.scratch for each thread, counting 4 bytes: f32[2][chunk][ceil4(nheads)]
} ssd_scan_args;

#endif
