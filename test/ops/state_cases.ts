import { around, buildCase, type CaseStep, normal, type OpCase, segmentsOf, Views, vector } from './build.ts';

/** One segment from the start, one continued, one of a single row. */
const RAGGED = segmentsOf([1, 0, 5], [0, 11, 3], [3, 1003, 1]);
/** A slot that goes on from step to step: its state must lie where the next step looks. */
const ONGOING: CaseStep[] = [segmentsOf([0, 0, 3]), segmentsOf([0, 3, 1], [1, 0, 2]), segmentsOf([0, 4, 6])];

interface ConvShape {
  channels: number;
  k?: number;
  bias?: boolean;
  activation?: 'none' | 'silu';
  pad?: [before: number, after: number];
}

function conv(name: string, shape: ConvShape, ...steps: CaseStep[]): OpCase {
  const views = new Views();
  const [before, after] = shape.pad ?? [0, 0];
  const { channels, k = 4, bias = true, activation = 'silu' } = shape;
  const x = views.add('x', channels, normal, before, after);
  const y = views.add('y', channels, null, after, before);
  return buildCase(name, steps, {
    views,
    weights: {
      w: { shape: [channels, k], role: 'vector' },
      ...(bias && { b: vector(channels) }),
    },
    values: { w: around(0, 0.5) },
    states: { ring: { shape: [k, channels], layout: { ringAxis: 0 } } },
    calls: [{ op: 'conv1d', x, weight: 'w', state: 'ring', y, activation, ...(bias && { bias: 'b' }) }],
  });
}

export const conv1dCases: OpCase[] = [
  conv('one row of a fresh slot, 1 channel', { channels: 1 }, segmentsOf([0, 0, 1])),
  conv('one row, continued', { channels: 160 }, segmentsOf([0, 7, 1])),
  conv('fewer rows than the kernel, then more', { channels: 37 }, ...ONGOING),
  conv('ragged batch', { channels: 53, pad: [3, 8] }, RAGGED),
  conv('no bias, no activation', { channels: 20, bias: false, activation: 'none' }, RAGGED),
  conv('kernel of 1', { channels: 9, k: 1 }, RAGGED),
  conv('kernel of 2, chunk of 33', { channels: 11, k: 2 }, segmentsOf([0, 5, 33])),
  conv('kernel of 8', { channels: 13, k: 8 }, ...ONGOING),
  conv('nano', { channels: 224, pad: [192, 6] }, segmentsOf([0, 64, 64])),
  conv('tiny', { channels: 896, pad: [768, 12] }, segmentsOf([0, 0, 17]), segmentsOf([0, 17, 1])),
  conv('mamba2-130m', { channels: 1792, pad: [1536, 24] }, segmentsOf([0, 3, 5])),
  conv('mamba2-1.3b', { channels: 4352, pad: [4096, 64] }, segmentsOf([0, 9, 2], [1, 0, 1])),
];

interface SsdShape {
  nheads: number;
  headdim: number;
  d_state: number;
  ngroups?: number;
  perChannelD?: boolean;
  dtLimit?: [min: number, max: number];
  dt?: number; // mean of dt before its bias
}

function ssd(name: string, shape: SsdShape, ...steps: CaseStep[]): OpCase {
  const { nheads, headdim, d_state, ngroups = 1, dtLimit = [0, Number.POSITIVE_INFINITY] } = shape;
  const views = new Views();
  const d_inner = nheads * headdim;
  const x = views.add('xBC', d_inner, normal);
  const B = views.add('xBC', ngroups * d_state, normal);
  const C = views.add('xBC', ngroups * d_state, normal);
  const dt = views.add('projection', nheads, around(shape.dt ?? 0, 1.5), 5);
  const y = views.add('y', d_inner, null, 0, 3);
  return buildCase(name, steps, {
    views,
    weights: {
      dtBias: vector(nheads),
      A: vector(nheads),
      D: vector(shape.perChannelD ? d_inner : nheads),
    },
    values: {
      A: (random) => -random.uniform(1, 16),
      D: around(1, 0.3),
      dtBias: (random) => random.uniform(-6, -2),
    },
    states: { ssm: { shape: [nheads, headdim, d_state], layout: 'dense' } },
    calls: [
      {
        op: 'ssd_scan',
        x,
        B,
        C,
        dt,
        dtBias: 'dtBias',
        A: 'A',
        D: 'D',
        state: 'ssm',
        y,
        ngroups,
        dtMin: dtLimit[0],
        dtMax: dtLimit[1],
      },
    ],
  });
}

export const ssdScanCases: OpCase[] = [
  ssd('1 × 1 × 1, one row', { nheads: 1, headdim: 1, d_state: 1 }, segmentsOf([0, 0, 1])),
  ssd('1 × 1 × 1, continued', { nheads: 1, headdim: 1, d_state: 1 }, segmentsOf([0, 5, 4])),
  ssd('odd sizes, ragged', { nheads: 3, headdim: 5, d_state: 7 }, RAGGED),
  ssd('odd sizes, step by step', { nheads: 3, headdim: 17, d_state: 9 }, ...ONGOING),
  ssd('2 groups', { nheads: 6, headdim: 8, d_state: 16, ngroups: 2 }, RAGGED),
  ssd('8 groups of 1 head', { nheads: 8, headdim: 4, d_state: 12, ngroups: 8 }, segmentsOf([0, 2, 9])),
  ssd('D per channel', { nheads: 4, headdim: 16, d_state: 16, perChannelD: true }, RAGGED),
  ssd('clamped dt', { nheads: 4, headdim: 8, d_state: 8, dtLimit: [0.01, 0.05] }, RAGGED),
  ssd('dt beyond the softplus threshold', { nheads: 4, headdim: 8, d_state: 8, dt: 24 }, RAGGED),
  ssd('dt far below zero', { nheads: 4, headdim: 8, d_state: 8, dt: -30 }, RAGGED),
  ssd('nano, chunk of 64', { nheads: 6, headdim: 32, d_state: 16 }, segmentsOf([0, 64, 64])),
  ssd('tiny', { nheads: 12, headdim: 64, d_state: 64 }, segmentsOf([0, 0, 17]), segmentsOf([0, 17, 1])),
  ssd('mamba2-130m', { nheads: 24, headdim: 64, d_state: 128 }, segmentsOf([0, 40, 5], [1, 0, 1])),
  ssd('mamba2-1.3b', { nheads: 64, headdim: 64, d_state: 128 }, segmentsOf([0, 1, 1])),
];

interface AttentionShape {
  heads: number;
  kvHeads: number;
  headDim: number;
  window: number;
  ring?: number; // window + chunk − 1 if absent
  scale?: number;
}

function attention(name: string, shape: AttentionShape, ...steps: CaseStep[]): OpCase {
  const { heads, kvHeads, headDim, window } = shape;
  const chunk = Math.max(...steps.map((step) => step.segments.reduce((sum, s) => sum + s.rows, 0)));
  const views = new Views();
  const q = views.add('qkv', heads * headDim, normal, 2);
  const k = views.add('qkv', kvHeads * headDim, normal);
  const v = views.add('qkv', kvHeads * headDim, normal);
  const y = views.add('y', heads * headDim, null, 0, 5);
  const ring = shape.ring ?? window + chunk - 1;
  return buildCase(name, steps, {
    views,
    states: { kv: { shape: [2, ring, kvHeads * headDim], layout: { ringAxis: 1 } } },
    calls: [
      {
        op: 'window_attention',
        q,
        k,
        v,
        state: 'kv',
        y,
        heads,
        kvHeads,
        window,
        scale: shape.scale ?? 1 / Math.sqrt(headDim),
      },
    ],
  });
}

export const windowAttentionCases: OpCase[] = [
  attention('1 head of 1, one row', { heads: 1, kvHeads: 1, headDim: 1, window: 1 }, segmentsOf([0, 0, 1])),
  attention('window of 1', { heads: 2, kvHeads: 1, headDim: 3, window: 1 }, RAGGED),
  attention(
    'window smaller than the rows',
    { heads: 3, kvHeads: 1, headDim: 8, window: 4 },
    segmentsOf([0, 0, 11]),
  ),
  attention(
    'ring that wraps inside the rows',
    { heads: 2, kvHeads: 2, headDim: 5, window: 6 },
    segmentsOf([0, 9, 8]),
  ),
  attention('GQA, ragged, odd sizes', { heads: 6, kvHeads: 2, headDim: 7, window: 13 }, RAGGED),
  attention('step by step', { heads: 4, kvHeads: 1, headDim: 16, window: 5 }, ...ONGOING),
  attention(
    'every key so far, in a ring of the whole context',
    { heads: 4, kvHeads: 4, headDim: 12, window: 40, ring: 40 },
    segmentsOf([0, 0, 9], [1, 31, 9]),
  ),
  attention(
    'sharp scores',
    { heads: 2, kvHeads: 1, headDim: 16, window: 30, scale: 8 },
    segmentsOf([0, 25, 9]),
  ),
  attention('nano', { heads: 3, kvHeads: 1, headDim: 32, window: 64 }, segmentsOf([0, 128, 64])),
  attention(
    'tiny',
    { heads: 6, kvHeads: 1, headDim: 64, window: 256 },
    segmentsOf([0, 500, 17]),
    segmentsOf([0, 517, 1]),
  ),
  attention('32 heads of 64', { heads: 32, kvHeads: 8, headDim: 64, window: 100 }, segmentsOf([0, 300, 2])),
];

interface RotaryShape {
  heads: number;
  headDim: number;
  dims?: number;
  theta?: number;
  pad?: [before: number, after: number];
}

function rotary(name: string, shape: RotaryShape, ...steps: CaseStep[]): OpCase {
  const views = new Views();
  const { heads, headDim, dims = headDim, theta = 10_000 } = shape;
  const x = views.add('x', heads * headDim, normal, ...(shape.pad ?? [0, 0]));
  return buildCase(name, steps, {
    views,
    weights: {},
    calls: [{ op: 'rotary', x, heads, dims, theta }],
  });
}

export const rotaryCases: OpCase[] = [
  rotary('1 pair at position 0', { heads: 1, headDim: 2 }, segmentsOf([0, 0, 1])),
  rotary('12 of 16, ragged', { heads: 3, headDim: 16, dims: 12, pad: [5, 3] }, RAGGED),
  rotary('nano', { heads: 4, headDim: 32 }, segmentsOf([0, 61, 9])),
  rotary('far away', { heads: 2, headDim: 64, theta: 1e11 }, segmentsOf([0, 99_990, 7], [1, 4_000, 2])),
  rotary(
    'a million tokens away',
    { heads: 2, headDim: 64, theta: 1e11 },
    segmentsOf([0, 131_069, 6], [1, 399_997, 5], [2, 999_998, 4], [3, 2 ** 24 - 3, 3]),
    segmentsOf([0, 131_069, 6]),
  ),
  // Where it tells whether theta was rounded to f32 first: the result moves by 8e-4.
  rotary('theta rounded', { heads: 1, headDim: 198, theta: 1e11 }, segmentsOf([0, 130_000, 2])),
  rotary('as wide as can be', { heads: 2, headDim: 256 }, segmentsOf([0, 1000, 3])),
];
