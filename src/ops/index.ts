import { ops } from './registry.ts';

export { ops };

export type OpName = keyof typeof ops;
type CallOf<T> = T extends { check(call: infer C, dim: never): string | null } ? C : never;
/** One call of any op. */
export type OpCall = { [K in OpName]: CallOf<(typeof ops)[K]> }[OpName];

/** A function of the calls of every op. */
export type OpTable<Context, Result> = {
  [K in OpName]: (call: Extract<OpCall, { op: K }>, context: Context) => Result;
};

/** Applies the function of a call's op. */
export function applyOp<Context, Result>(
  table: OpTable<Context, Result>,
  call: OpCall,
  context: Context,
): Result {
  return (table[call.op] as (call: OpCall, context: Context) => Result)(call, context);
}
