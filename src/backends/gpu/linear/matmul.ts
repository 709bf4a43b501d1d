import { type Launch, mergeSettings } from '../launch.ts';
import type { LinearPart, Planner } from '../planner.ts';
import { type RowsOf, type Tile, tiled, type Unlaunched } from './tile.ts';

export interface FloatTile extends Tile {
  NJ: number; // 64s of rows of W
}

/** Tiles of products of floats. */
export function matmul(
  { settings, slices }: Unlaunched,
  part: LinearPart,
  tile: FloatTile,
  rowsOf: RowsOf,
): Launch {
  return {
    kernel: 'matmul',
    settings: mergeSettings(settings, { NJ: tile.NJ }),
    slices,
    workgroups: tiled(part, tile, rowsOf),
  };
}

/** What a workgroup of matmul makes, from so many rows of x on: large tiles, where there is memory for them and enough of them. */
export function floatTiles(from: number, part: LinearPart, { program, tuning }: Planner): FloatTile[] {
  const tile = (NJ: number, from: number, to: number): FloatTile => ({
    ...{ NJ, from, to },
    rowsOfX: 64,
    rowsOfW: 64 * NJ,
  });
  const { chunk } = program;
  if (!tuning.matmul.wide) return [tile(1, from, chunk)];
  const across = Math.ceil(part.rows / 128);
  const enough = Math.ceil(tuning.matmul.leastWorkgroups / across) * 64; // rows of x that make enough of them
  if (enough > chunk) return [tile(1, from, chunk)];
  return [tile(1, from, enough - 1), tile(2, enough, chunk)];
}
