import activation from '../../../shaders/wgsl/activation.wgsl';
import conv1d from '../../../shaders/wgsl/conv1d.wgsl';
import embed from '../../../shaders/wgsl/embed.wgsl';
import gate_norm from '../../../shaders/wgsl/gate_norm.wgsl';
import batch from '../../../shaders/wgsl/lib/batch.wgsl';
import block from '../../../shaders/wgsl/lib/block.wgsl';
import dt from '../../../shaders/wgsl/lib/dt.wgsl';
import f16 from '../../../shaders/wgsl/lib/f16.wgsl';
import input from '../../../shaders/wgsl/lib/input.wgsl';
import linear from '../../../shaders/wgsl/lib/linear.wgsl';
import math from '../../../shaders/wgsl/lib/math.wgsl';
import output from '../../../shaders/wgsl/lib/output.wgsl';
import packed from '../../../shaders/wgsl/lib/packed.wgsl';
import partial_sums from '../../../shaders/wgsl/lib/partial_sums.wgsl';
import products from '../../../shaders/wgsl/lib/products.wgsl';
import reduce from '../../../shaders/wgsl/lib/reduce.wgsl';
import rows from '../../../shaders/wgsl/lib/rows.wgsl';
import select from '../../../shaders/wgsl/lib/select.wgsl';
import team from '../../../shaders/wgsl/lib/team.wgsl';
import tiles from '../../../shaders/wgsl/lib/tiles.wgsl';
import unit from '../../../shaders/wgsl/lib/unit.wgsl';
import values from '../../../shaders/wgsl/lib/values.wgsl';
import weight from '../../../shaders/wgsl/lib/weight.wgsl';
import mamba2_decode from '../../../shaders/wgsl/mamba2_decode.wgsl';
import matmul from '../../../shaders/wgsl/matmul.wgsl';
import matmul_f16 from '../../../shaders/wgsl/matmul_f16.wgsl';
import matmul_matrix from '../../../shaders/wgsl/matmul_matrix.wgsl';
import matvec from '../../../shaders/wgsl/matvec.wgsl';
import rotary from '../../../shaders/wgsl/rotary.wgsl';
import sample from '../../../shaders/wgsl/sample.wgsl';
import ssd_scan from '../../../shaders/wgsl/ssd_scan.wgsl';
import sum_parts from '../../../shaders/wgsl/sum_parts.wgsl';
import to_f16 from '../../../shaders/wgsl/to_f16.wgsl';
import window_attention from '../../../shaders/wgsl/window_attention.wgsl';
import type { KernelName } from '../gpu/kernels.ts';

/** The sources of each entry point. */
export const shaders: Record<KernelName, readonly string[]> = {
  embed: [batch, weight, embed],
  matvec: [batch, rows, input, partial_sums, linear, weight, unit, block, packed, products, team, matvec],
  matmul: [batch, rows, input, linear, weight, unit, matmul],
  to_f16: [batch, rows, input, f16, to_f16],
  matmul_f16: [batch, rows, linear, weight, f16, tiles, matmul_f16],
  matmul_matrix: [batch, rows, linear, weight, f16, tiles, matmul_matrix],
  sum_parts: [linear, sum_parts],
  conv1d: [batch, math, conv1d],
  ssd_scan: [batch, math, dt, ssd_scan],
  mamba2_decode: [batch, math, dt, mamba2_decode],
  mamba2_project: [batch, math, dt, weight, unit, block, packed, products, mamba2_decode],
  gate_norm: [math, reduce, gate_norm],
  activation: [math, activation],
  rotary: [batch, rotary],
  window_attention: [batch, window_attention],
  sample: [batch, output, reduce, values, select, sample],
};
