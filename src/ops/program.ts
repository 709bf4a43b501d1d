import { EdgeError } from '../errors.ts';
import type { Operand, View } from './contract.ts';
import { type OpCall, ops } from './index.ts';

/** A weight that a program reads. `linear` weights may be quantized; `vector` ones stay f32. */
export interface WeightSpec {
  shape: readonly number[]; // [n], [out, in] or [channels, k]
  role: 'linear' | 'vector';
}

/**
 * A slot's state, f32.
 * - ring: rows written at `position mod shape[axis]`, so that a canonical order (oldest first) exists
 * - dense: rewritten as a whole at every token
 */
export interface StateSpec {
  shape: readonly number[]; // of one slot, in canonical order
  layout: 'dense' | { ringAxis: number };
}

/** The ordered op calls that an architecture makes of its config, and all buffers that they touch. Built once a model. */
export interface Program {
  /** Activation buffers by name: f32 [chunk, width]. */
  buffers: Readonly<Record<string, { width: number }>>;
  weights: Readonly<Record<string, WeightSpec>>;
  states: Readonly<Record<string, StateSpec>>;
  calls: readonly OpCall[];
  vocabSize: number;
  /** The most rows that one step may have. */
  chunk: number;
  /** The most tokens that a slot can hold, where attention is unbounded; Infinity otherwise. */
  maxContext: number;
}

/** Checks a program against the contracts: every operand exists, every symbol has one value. Throws INTERNAL. */
export function checkProgram(program: Program): void {
  program.calls.forEach((call, index) => {
    const contract = ops[call.op];
    const fault = checkCall(program, call, contract.operands) ?? checkParams(program, call);
    if (fault) throw new EdgeError('INTERNAL', `Program call ${index} (${call.op}): ${fault}`);
  });
}

/** The shape of what an operand of `call` names; throws if it names nothing. */
export function operandShape(program: Program, operand: Operand, value: unknown): readonly number[] {
  if (operand.kind === 'activation') {
    const view = value as View;
    const buffer = program.buffers[view.buffer];
    if (!buffer) throw new EdgeError('INTERNAL', `no buffer '${view.buffer}'`);
    if (view.offset < 0 || view.width < 1 || view.offset + view.width > buffer.width)
      throw new EdgeError(
        'INTERNAL',
        `view ${view.offset}+${view.width} leaves '${view.buffer}' (${buffer.width})`,
      );
    return [program.chunk, view.width];
  }
  const table = operand.kind === 'weight' ? program.weights : program.states;
  const spec = table[value as string];
  if (!spec) throw new EdgeError('INTERNAL', `no ${operand.kind} '${value}'`);
  return spec.shape;
}

/** The value of every shape symbol of a call. */
export function callDims(program: Program, call: OpCall): Record<string, number> {
  const dims: Record<string, number> = {};
  for (const [name, operand] of Object.entries(ops[call.op].operands as Record<string, Operand>)) {
    const value = (call as unknown as Record<string, unknown>)[name];
    if (value === undefined) continue;
    const shape = operandShape(program, operand, value);
    operand.shape.forEach((symbol, axis) => {
      dims[symbol] ??= shape[axis]!;
    });
  }
  return dims;
}

function checkCall(
  program: Program,
  call: OpCall,
  operands: Readonly<Record<string, Operand>>,
): string | null {
  const dims: Record<string, number> = {};
  for (const [name, operand] of Object.entries(operands)) {
    const value = (call as unknown as Record<string, unknown>)[name];
    if (value === undefined) {
      if (operand.optional) continue;
      return `operand '${name}' is missing`;
    }
    const shape = operandShape(program, operand, value);
    if (shape.length !== operand.shape.length) return `'${name}' has ${shape.length} dimensions`;
    for (const [axis, symbol] of operand.shape.entries()) {
      const seen = dims[symbol];
      if (seen !== undefined && seen !== shape[axis])
        return `'${name}': ${symbol} is ${seen} and ${shape[axis]}`;
      dims[symbol] = shape[axis]!;
    }
  }
  return null;
}

function checkParams(program: Program, call: OpCall): string | null {
  const check = ops[call.op].check as (call: OpCall, dim: Record<string, number>) => string | null;
  return check(call, callDims(program, call));
}
