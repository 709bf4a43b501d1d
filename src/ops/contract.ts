/** The vocabulary in which ops and programs are written. Pure data: no device, no model. */

/** Columns [offset, offset + width) of every row of an activation buffer. */
export interface View {
  buffer: string;
  offset: number;
  width: number;
}

/** How an op accesses an operand. */
export type Access = 'read' | 'write' | 'readwrite';

/**
 * One operand of an op. `shape` names dimensions by symbols; one symbol has one value in a call.
 * - activation: a View; shape [rows, width]
 * - weight: the name of a weight; shape as stored (a vector is [n])
 * - state: the name of a slot state; shape as declared
 */
export interface Operand {
  kind: 'activation' | 'weight' | 'state';
  access: Access;
  shape: readonly string[];
  optional?: boolean;
}

/** The contract of an op: what every backend implements under the same name. */
export interface OpContract<Call> {
  name: string;
  operands: Readonly<Record<string, Operand>>;
  /** Relations between dimensions and params that symbols cannot say. Returns the fault, or null. */
  check(call: Call, dim: Readonly<Record<string, number>>): string | null;
  /** Largest ‖a−b‖/‖b‖ against the float64 reference for each numerics that the op distinguishes (docs/adr/0006). */
  tolerance: { exact: number; i16?: number; i8?: number };
}
