import type { ActivationCall } from '../../src/ops/activation.ts';
import type { GateNormCall } from '../../src/ops/gate_norm.ts';
import { around, buildCase, normal, type OpCase, rowsOf, Views, vector } from './build.ts';

const MODES = ['norm_then_gate', 'gate_then_norm', 'gate'] as const;

interface GateShape {
  d: number;
  rows: number[];
  ngroups?: number;
  eps?: number;
  size?: number; // of the inputs
}

function gateNorms(name: string, shape: GateShape): OpCase[] {
  return MODES.map((mode: GateNormCall['mode']) => {
    const views = new Views();
    const draw = around(0.2, shape.size ?? 1);
    const z = views.add('projection', shape.d, around(0, 3), 0, 7);
    const x = views.add('x', shape.d, draw, 3);
    const y = views.add('y', shape.d, null, 1, 2);
    return buildCase(`${name}, ${mode}`, rowsOf(...shape.rows), {
      views,
      weights: mode === 'gate' ? {} : { g: vector(shape.d) },
      values: { g: around(1, 0.2) },
      calls: [
        {
          op: 'gate_norm',
          x,
          z,
          y,
          mode,
          ngroups: shape.ngroups ?? 1,
          eps: shape.eps ?? 1e-5,
          ...(mode !== 'gate' && { g: 'g' }),
        },
      ],
    });
  });
}

export const gateNormCases: OpCase[] = [
  ...gateNorms('width 1', { d: 1, rows: [1] }),
  ...gateNorms('odd width', { d: 37, rows: [5, 1] }),
  ...gateNorms('3 groups of 11', { d: 33, rows: [3], ngroups: 3 }),
  ...gateNorms('groups of 1', { d: 6, rows: [2], ngroups: 6 }),
  ...gateNorms('values near the square root of eps', { d: 40, rows: [3], size: 1e-3, eps: 1e-5 }),
  ...gateNorms('nano, chunk of 64', { d: 192, rows: [64] }),
  ...gateNorms('mamba2-130m', { d: 1536, rows: [3, 1] }),
  ...gateNorms('8 groups of 1024', { d: 8192, rows: [2], ngroups: 8 }),
];

function activations(d: number, rows: number[], gated: boolean): OpCase[] {
  return (['gelu', 'silu', 'relu2'] as const).map((kind: ActivationCall['kind']) => {
    const views = new Views();
    const x = views.add('x', d, around(0, 3), 2);
    const gate = gated ? views.add('x', d, normal, 1, 4) : undefined;
    const y = views.add('y', d, null, 3, 1);
    return buildCase(`${kind}${gated ? ', gated' : ''}, ${d} wide`, rowsOf(...rows), {
      views,
      calls: [{ op: 'activation', x, y, kind, ...(gate && { gate }) }],
    });
  });
}

/** Every magnitude from the tails, where one of the two terms of an activation vanishes, to zero. */
function sweep(kind: ActivationCall['kind']): OpCase {
  const views = new Views();
  const x = views.add('x', 401, (_, index) => (index % 401) / 10 - 20);
  const y = views.add('y', 401, null);
  return buildCase(`${kind} from −20 to 20`, rowsOf(1), { views, calls: [{ op: 'activation', x, y, kind }] });
}

export const activationCases: OpCase[] = [
  ...activations(1, [1], false),
  ...activations(1, [1], true),
  ...activations(45, [7, 1], false),
  ...activations(45, [7, 1], true),
  ...activations(288, [64], false),
  ...activations(6144, [2], true),
  sweep('gelu'),
  sweep('silu'),
  sweep('relu2'),
];
