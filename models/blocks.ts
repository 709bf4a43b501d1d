import type { ActivationCall } from '../src/ops/activation.ts';
import type { View } from '../src/ops/contract.ts';
import type { GateNormCall } from '../src/ops/gate_norm.ts';
import type { OpCall } from '../src/ops/index.ts';
import type { StateSpec } from '../src/ops/program.ts';
import type { TensorNames } from './names.ts';
import type { WeightBinder } from './weights.ts';

/** A program while its blocks add to it. */
export interface Draft {
  readonly chunk: number;
  /** Tokens that attention without a window may hold. */
  readonly maxContext: number;
  /** Whether a block is bounded by maxContext. */
  bounded: boolean;
  readonly buffers: Record<string, { width: number }>;
  readonly states: Record<string, StateSpec>;
  readonly calls: OpCall[];
}

/** Adds one pre-norm residual block to a program: `x + mixer(rms_norm(x))`. */
export type Block = (draft: Draft) => void;

/** Blocks one after the other, as one. */
export function inTurn(...blocks: readonly Block[]): Block {
  return (draft) => {
    for (const block of blocks) block(draft);
  };
}

/** Where a block's weights are. */
export interface Place {
  weights: WeightBinder;
  name: string; // of the block in the program: 'layers.3'
  norm: string; // tensor of the norm before it: 'backbone.layers.3.norm.weight'
  mixer: string; // prefix of its other tensors: 'backbone.layers.3.mixer'
  dModel: number;
  eps: number;
  scale?: number; // of what is added to the residual; 1
  /** To which buffer the mixer's output is added, and where the sum goes; both 'residual' if absent. */
  sum?: { of: string; to: string };
}

/** The names of state-spaces and of transformers' Mamba2. */
export const BACKBONE: TensorNames = {
  root: 'backbone.',
  embedding: ['embeddings.weight', 'embedding.weight'],
};

/** Where they have layer `i`. */
export function backboneLayer(weights: WeightBinder, i: number, dModel: number, eps: number): Place {
  const tensors = `backbone.layers.${i}`;
  return {
    weights,
    name: `layers.${i}`,
    norm: `${tensors}.norm.weight`,
    mixer: `${tensors}.mixer`,
    dModel,
    eps,
  };
}

/** Columns of a buffer that is as wide as its widest use. */
export function view(draft: Draft, buffer: string, offset: number, width: number): View {
  const needed = Math.max(draft.buffers[buffer]?.width ?? 0, offset + width);
  draft.buffers[buffer] = { width: needed };
  return { buffer, offset, width };
}

export interface Mamba2Dims {
  d_inner: number; // expand · d_model
  headdim: number;
  nheads: number; // d_inner / headdim
  d_state: number;
  ngroups: number;
  d_conv: number;
  mode: GateNormCall['mode'];
  dtMin: number;
  dtMax: number;
  hasHeadDimD: boolean; // D per channel rather than per head
  bias: boolean;
  convBias: boolean;
  /** Of the rows of in_proj that make z, x, B, C and dt; 1. */
  multipliers?: readonly [z: number, x: number, B: number, C: number, dt: number];
}

/** The Mamba-2 mixer (arXiv 2405.21060): projection to z | x B C | dt, convolution, recurrence, gated norm, projection. */
export function mamba2Block(place: Place, dims: Mamba2Dims): Block {
  const { weights, name, mixer, dModel, eps } = place;
  const { d_inner, nheads, headdim, d_state, ngroups, d_conv } = dims;
  const bc = ngroups * d_state;
  const channels = d_inner + 2 * bc;
  const width = d_inner + channels + nheads;
  const norm = weights.vector(`${name}.norm`, place.norm, dModel);
  const inProj = linear(place, 'in_proj', dModel, width, dims.bias);
  if (dims.multipliers) {
    const rows = [d_inner, d_inner, bc, bc, nheads];
    const multipliers = dims.multipliers.map((by, i) => ({ rows: rows[i]!, by }));
    weights.multiply(inProj.w, multipliers);
  }
  const taps = weights.taps(`${name}.conv`, `${mixer}.conv1d.weight`, channels, d_conv);
  const convBias = weights.bias(`${name}.conv.bias`, `${mixer}.conv1d.bias`, channels, dims.convBias);
  const dtBias = weights.vector(`${name}.dt_bias`, `${mixer}.dt_bias`, nheads);
  const A = weights.has(`${mixer}.A`)
    ? weights.vector(`${name}.A`, `${mixer}.A`, nheads)
    : weights.negExp(`${name}.A`, `${mixer}.A_log`, nheads);
  const D = weights.vector(`${name}.D`, `${mixer}.D`, dims.hasHeadDimD ? d_inner : nheads);
  const gate =
    dims.mode === 'gate' ? null : weights.vector(`${name}.gate_norm`, `${mixer}.norm.weight`, d_inner);
  const outProj = linear(place, 'out_proj', d_inner, dModel, dims.bias);
  return (draft) => {
    const residual = view(draft, 'residual', 0, dModel);
    const projection = view(draft, 'projection', 0, width);
    const z = view(draft, 'projection', 0, d_inner);
    const xBC = view(draft, 'projection', d_inner, channels);
    const dt = view(draft, 'projection', d_inner + channels, nheads);
    const convolved = view(draft, 'convolved', 0, channels);
    const [x, B, C] = [
      view(draft, 'convolved', 0, d_inner),
      view(draft, 'convolved', d_inner, bc),
      view(draft, 'convolved', d_inner + bc, bc),
    ];
    const scanned = view(draft, 'scanned', 0, d_inner);
    const mixed = view(draft, 'mixed', 0, d_inner);
    const ring = `${name}.conv`;
    const ssm = `${name}.ssm`;
    draft.states[ring] = { shape: [d_conv, channels], layout: { ringAxis: 0 } };
    draft.states[ssm] = { shape: [nheads, headdim, d_state], layout: 'dense' };
    const { dtMin, dtMax, mode } = dims;
    draft.calls.push(
      { op: 'norm_linear', x: residual, g: norm, ...inProj, y: projection, eps },
      {
        op: 'conv1d',
        x: xBC,
        weight: taps,
        ...(convBias && { bias: convBias }),
        state: ring,
        y: convolved,
        activation: 'silu',
      },
      { op: 'ssd_scan', x, B, C, dt, dtBias, A, D, state: ssm, y: scanned, ngroups, dtMin, dtMax },
      { op: 'gate_norm', x: scanned, z, ...(gate && { g: gate }), y: mixed, mode, ngroups, eps },
      { op: 'linear_residual', x: mixed, ...outProj, ...added(draft, place) },
    );
  };
}

export interface MlpDims {
  d_inner: number;
  kind: ActivationCall['kind'];
  bias: boolean;
  /**
   * Whether `gate_proj(x)` is multiplied in, and whether an RMS norm follows (SwiGLU of cartesia-mlx); merged: one
   * projection makes both halves; what is activated comes first (Granite) or last (mamba_ssm's GatedMLP).
   */
  gate: 'none' | 'plain' | 'normed' | 'merged' | 'merged_last';
  /** Of what is activated, what it is multiplied by or '', and the way out. */
  names?: readonly [string, string, string];
  scale?: number; // of what is activated; 1
}

/** `out_proj(act(in_proj(x)))`, or `out_proj(norm(act(in_proj(x)) ⊙ gate_proj(x)))` with a gate. */
export function mlpBlock(place: Place, dims: MlpDims): Block {
  const { weights, name, mixer, dModel, eps } = place;
  const { d_inner, kind, gate } = dims;
  const [inName, gateName, outName] = dims.names ?? ['in_proj', 'gate_proj', 'out_proj'];
  const width = gate.startsWith('merged') ? 2 * d_inner : d_inner;
  const norm = weights.vector(`${name}.norm`, place.norm, dModel);
  const inProj = linear(place, inName, dModel, width, dims.bias);
  const separate = gate === 'plain' || gate === 'normed';
  const gateProj = separate ? linear(place, gateName, dModel, d_inner, dims.bias) : null;
  const inner =
    gate === 'normed' ? weights.vector(`${name}.inner_norm`, `${mixer}.norm.weight`, d_inner) : null;
  const outProj = linear(place, outName, d_inner, dModel, dims.bias);
  return (draft) => {
    const residual = view(draft, 'residual', 0, dModel);
    const first = gate === 'merged_last' ? d_inner : 0;
    const y = view(draft, 'projection', first, d_inner);
    const mixed = view(draft, 'mixed', 0, d_inner);
    const projected = view(draft, 'projection', 0, width);
    const activated = { ...inProj, ...scaled(dims.scale) };
    draft.calls.push({ op: 'norm_linear', x: residual, g: norm, ...activated, y: projected, eps });
    if (gate === 'none') draft.calls.push({ op: 'activation', x: y, y: mixed, kind });
    else {
      const x = view(draft, 'projection', d_inner - first, d_inner);
      if (gateProj) draft.calls.push({ op: 'norm_linear', x: residual, g: norm, ...gateProj, y: x, eps });
      if (inner !== null) {
        const mode = 'gate_then_norm'; // the op's gate is silu(in_proj(x)), as SwiGLU's activation
        draft.calls.push({ op: 'gate_norm', x, z: y, g: inner, y: mixed, mode, ngroups: 1, eps });
      } else draft.calls.push({ op: 'activation', x, gate: y, y: mixed, kind });
    }
    draft.calls.push({ op: 'linear_residual', x: mixed, ...outProj, ...added(draft, place) });
  };
}

export interface AttentionDims {
  heads: number;
  kvHeads: number;
  headDim: number;
  window: number | null; // keys, the row's own included; null: unbounded
  scale: number;
  qkvBias: boolean;
  outBias: boolean;
  /** One projection in_proj to q | k | v, and out_proj; or q_proj, k_proj, v_proj and o_proj. */
  separate?: boolean;
  /** Of q, k and v; 1. */
  multipliers?: readonly [q: number, k: number, v: number];
  /** Position embedding of the first `dims` columns of every head. */
  rotary?: { dims: number; theta: number };
  /** Taps of a convolution over q | k | v before that. */
  conv?: number;
}

/** Attention over q | k | v, without positional encoding unless one is asked for. */
export function attentionBlock(place: Place, dims: AttentionDims): Block {
  const { weights, name, dModel, eps } = place;
  const { heads, kvHeads, scale, separate = false } = dims;
  const q = heads * dims.headDim;
  const kv = kvHeads * dims.headDim;
  const norm = weights.vector(`${name}.norm`, place.norm, dModel);
  const widths: [which: string, width: number][] = separate
    ? [
        ['q_proj', q],
        ['k_proj', kv],
        ['v_proj', kv],
      ]
    : [['in_proj', q + 2 * kv]];
  const projections = widths.map(([which, width]) => linear(place, which, dModel, width, dims.qkvBias));
  const outProj = linear(place, separate ? 'o_proj' : 'out_proj', q, dModel, dims.outBias);
  const conv = dims.conv && {
    weight: weights.taps(`${name}.conv`, `${place.mixer}.conv1d.weight`, q + 2 * kv, dims.conv),
    bias: weights.vector(`${name}.conv.bias`, `${place.mixer}.conv1d.bias`, q + 2 * kv),
  };
  return (draft) => {
    const residual = view(draft, 'residual', 0, dModel);
    const mixed = view(draft, 'mixed', 0, q);
    const state = `${name}.kv`;
    // Unbounded attention never wraps: positions end at maxContext.
    const window = dims.window ?? draft.maxContext;
    const ring = dims.window === null ? draft.maxContext : window + draft.chunk - 1;
    draft.bounded ||= dims.window === null;
    draft.states[state] = { shape: [2, ring, kv], layout: { ringAxis: 1 } };
    let offset = 0;
    for (const [i, [, width]] of widths.entries()) {
      const y = view(draft, 'projection', offset, width);
      const w = { ...projections[i]!, ...scaled(dims.multipliers?.[i]) };
      draft.calls.push({ op: 'norm_linear', x: residual, g: norm, ...w, y, eps });
      offset += width;
    }
    const qkv = conv ? 'convolved' : 'projection';
    if (conv) {
      const [x, y] = ['projection', qkv].map((buffer) => view(draft, buffer, 0, offset)) as [View, View];
      const ring = `${name}.conv`;
      draft.states[ring] = { shape: [dims.conv!, offset], layout: { ringAxis: 0 } };
      draft.calls.push({ op: 'conv1d', x, ...conv, state: ring, y, activation: 'none' });
    }
    if (dims.rotary) {
      const x = view(draft, qkv, 0, q + kv);
      draft.calls.push({ op: 'rotary', x, heads: heads + kvHeads, ...dims.rotary });
    }
    draft.calls.push(
      {
        op: 'window_attention',
        q: view(draft, qkv, 0, q),
        k: view(draft, qkv, q, kv),
        v: view(draft, qkv, q + kv, kv),
        state,
        y: mixed,
        heads,
        kvHeads,
        window,
        scale,
      },
      { op: 'linear_residual', x: mixed, ...outProj, ...added(draft, place) },
    );
  };
}

/** The operands w and b of a projection of the mixer. */
function linear(place: Place, which: string, width: number, out: number, bias: boolean) {
  const { weights, name, mixer } = place;
  const w = weights.matrix(`${name}.${which}`, `${mixer}.${which}.weight`, out, width);
  const b = weights.bias(`${name}.${which}.bias`, `${mixer}.${which}.bias`, out, bias);
  return { w, ...(b !== undefined && { b }) };
}

/** Where the output of a block's last projection goes. */
function added(draft: Draft, { dModel, scale, sum }: Place): { residual: View; y: View; scale?: number } {
  return {
    residual: view(draft, sum?.of ?? 'residual', 0, dModel),
    y: view(draft, sum?.to ?? 'residual', 0, dModel),
    ...scaled(scale),
  };
}

function scaled(scale = 1): { scale?: number } {
  return scale === 1 ? {} : { scale };
}
