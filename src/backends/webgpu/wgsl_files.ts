// Written by `npm run ops`.
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
import mamba2_project from '../../../shaders/wgsl/mamba2_project.wgsl';
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

/** The files of shaders/wgsl. */
export const kernelFiles = {
  activation,
  conv1d,
  embed,
  gate_norm,
  mamba2_decode,
  mamba2_project,
  matmul,
  matmul_f16,
  matmul_matrix,
  matvec,
  rotary,
  sample,
  ssd_scan,
  sum_parts,
  to_f16,
  window_attention,
};

/** The files of shaders/wgsl/lib. */
export const libFiles = {
  batch,
  block,
  dt,
  f16,
  input,
  linear,
  math,
  output,
  packed,
  partial_sums,
  products,
  reduce,
  rows,
  select,
  team,
  tiles,
  unit,
  values,
  weight,
};
