import type { Launch, StepShape } from '../launch.ts';
import type { LinearPart } from '../planner.ts';

/** A launch of a linear without its kernel. */
export type Unlaunched = Pick<Launch, 'settings' | 'slices'>;

/** How many rows of x a step has for a linear. */
export type RowsOf = (shape: StepShape) => number;

/** What a workgroup makes, and for how many rows of x. */
export interface Tile {
  rowsOfX: number;
  rowsOfW: number;
  from: number;
  to: number;
}

/** Workgroups that make all products of a part, `splits` times. */
export function tiled(
  part: LinearPart,
  { rowsOfX, rowsOfW, from, to }: Tile,
  rowsOf: RowsOf,
  splits = 1,
): Launch['workgroups'] {
  return (shape) => {
    const rows = rowsOf(shape);
    if (rows < from || rows > to) return null;
    return [Math.ceil(part.rows / rowsOfW), Math.ceil(rows / rowsOfX), splits];
  };
}
