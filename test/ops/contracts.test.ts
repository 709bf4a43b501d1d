import { describe, expect, test } from 'vitest';
import type { OpCall, OpName } from '../../src/ops/index.ts';
import { ops } from '../../src/ops/index.ts';
import { callDims, checkProgram, type Program } from '../../src/ops/program.ts';
import { cases } from './cases.ts';

type Change = (program: Program, call: Record<string, unknown>) => void;

/** A deep copy of a case's program, with its first call changed. */
function changed(op: OpName, name: string, change: Change): Program {
  const program = structuredClone(cases[op].find((testCase) => testCase.name.startsWith(name))!.program);
  change(program, program.calls[0] as unknown as Record<string, unknown>);
  return program;
}

const narrow =
  (operand: string): Change =>
  (_, call) => {
    (call[operand] as { width: number }).width--;
  };
const shape =
  (table: 'weights' | 'states', name: string, value: number[]): Change =>
  (program) => {
    (program[table][name] as { shape: readonly number[] }).shape = value;
  };
const set =
  (key: string, value: unknown): Change =>
  (_, call) => {
    call[key] = value;
  };
const drop =
  (key: string): Change =>
  (_, call) => {
    delete call[key];
  };

/** What each contract refuses. */
const refusals: Record<OpName, [name: string, change: Change, fault: RegExp][]> = {
  embed: [
    ['nano', narrow('y'), /d is 96 and 95/],
    ['nano', set('table', 'other'), /no weight 'other'/],
    ['nano', drop('y'), /'y' is missing/],
  ],
  norm_linear: [
    ['in_proj of nano', narrow('x'), /in is 9[56] and 9[56]/],
    ['in_proj of nano', shape('weights', 'g', [95]), /in is 96 and 95/],
    ['in_proj of nano', set('eps', 0), /eps must be positive/],
    ['7 to 5', shape('weights', 'b', [4]), /out is 5 and 4/],
    ['7 to 5', shape('weights', 'w', [35]), /'w' has 1 dimensions/],
  ],
  conv1d: [
    ['nano', shape('weights', 'w', [223, 4]), /channels is 224 and 223/],
    ['nano', shape('states', 'ring', [3, 224]), /k is 4 and 3/],
    [
      'kernel of 8',
      (program, call) => {
        shape('weights', 'w', [13, 9])(program, call);
        shape('states', 'ring', [9, 13])(program, call);
      },
      /1 to 8/,
    ],
    ['nano', set('state', 'none'), /no state 'none'/],
  ],
  ssd_scan: [
    ['2 groups', narrow('x'), /d_inner is|d_inner 47/],
    ['2 groups', set('ngroups', 3), /B and C are 32 wide/],
    ['2 groups', shape('weights', 'D', [7]), /D has 7 values/],
    ['2 groups', shape('weights', 'A', [5]), /nheads is 6 and 5/],
    ['2 groups', shape('states', 'ssm', [6, 7, 16]), /not nheads · headdim/],
    ['2 groups', set('dtMax', 0), /dt limits 0, 0/],
    ['2 groups', set('dtMin', -1), /dt limits -1/],
  ],
  gate_norm: [
    ['3 groups', set('ngroups', 2), /33 is not a multiple of ngroups 2/],
    ['3 groups', drop('g'), /g belongs/],
    ['3 groups', set('mode', 'gate'), /g belongs/],
  ],
  linear_residual: [
    ['in place', set('x', { buffer: 'residual', offset: 0, width: 33 }), /leaves 'residual' \(19\)/],
    ['1 to 1', (_, call) => (call.y = call.x), /different buffers/],
    ['in place', narrow('residual'), /out is 19 and 18/],
  ],
  activation: [
    ['silu, gated, 45', narrow('gate'), /d is 45 and 44/],
    ['silu, 45', set('y', { buffer: 'y', offset: -1, width: 45 }), /leaves 'y'/],
  ],
  rotary: [
    ['12 of 16', set('heads', 5), /48 is not a multiple of 5 heads/],
    ['12 of 16', set('dims', 7), /dims must be even/],
    ['12 of 16', set('dims', 18), /at most the head's 16/],
    ['12 of 16', set('theta', 0.5), /theta must be at least 1/],
  ],
  window_attention: [
    ['GQA', set('kvHeads', 4), /heads 6 is not a multiple/],
    ['GQA', set('kvHeads', 3), /head dimension/],
    ['GQA', set('window', 0), /ring \d+ < window 0/],
    ['GQA', set('window', 1000), /< window 1000/],
    ['GQA', shape('states', 'kv', [3, 21, 14]), /keys and values/],
  ],
  logits: [
    ['nano', set('eps', -1), /eps must be positive/],
    ['nano', shape('weights', 'g', [97]), /d is 96 and 97/],
  ],
  sample: [],
};

describe('op contracts', () => {
  for (const [op, list] of Object.entries(refusals) as [OpName, (typeof refusals)[OpName]][])
    for (const [name, change, fault] of list)
      test(`${op} (${name}) refuses: ${fault.source}`, () => {
        const program = changed(op, name, change);
        expect(() => checkProgram(program)).toThrow(fault);
        try {
          checkProgram(program);
        } catch (error) {
          expect(error).toMatchObject({ name: 'EdgeError', code: 'INTERNAL' });
        }
      });

  test('the registry and the contracts agree on names', () => {
    for (const [name, contract] of Object.entries(ops)) expect(contract.name).toBe(name);
  });

  test('callDims names every dimension of a call', () => {
    const { program } = cases.ssd_scan.find((testCase) => testCase.name === '2 groups')!;
    expect(callDims(program, program.calls[0] as OpCall)).toEqual({
      rows: program.chunk,
      d_inner: 48,
      bc: 32,
      nheads: 6,
      d: 6,
      headdim: 8,
      d_state: 16,
    });
  });
});
