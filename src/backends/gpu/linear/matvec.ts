import { type Launch, mergeSettings } from '../launch.ts';
import type { LinearPart, Planner } from '../planner.ts';
import { isAligned, type LinearLayout } from './layout.ts';
import type { RowsOf, Unlaunched } from './tile.ts';

const MOST_GROUPS = 65_535; // of a dimension
const BLOCK_ROWS = 4; // of W, that a team of threads has at a time

export interface MatvecTiling {
  workgroups: number; // for a row of x
  packed: boolean;
  early: boolean; // Are all blocks asked for before x is there?
  constants: Record<string, number>;
}

/** For at most `most` rows of x, each by itself. */
export function matvec(
  { settings, slices }: Unlaunched,
  most: number,
  rowsOf: RowsOf,
  { packed, workgroups, constants, early }: MatvecTiling,
): Launch {
  return {
    kernel: 'matvec',
    settings: mergeSettings(settings, constants, { EARLY: early, PACKED: packed }),
    slices,
    workgroups(shape) {
      const rows = rowsOf(shape);
      if (rows < 1 || rows > most) return null;
      return [Math.min(workgroups, MOST_GROUPS), rows, Math.ceil(workgroups / MOST_GROUPS)];
    },
  };
}

/**
 * How matvec cuts a weight: as many lanes as a row has vec4<u32>; several teams a workgroup, and blocks of rows a team
 * of few lanes, as long as there are workgroups for a whole GPU: they share the row of x.
 */
export function matvecTiling(
  layout: LinearLayout,
  part: LinearPart,
  { features, packedDots, tuning }: Planner,
  taken = 0, // bytes of workgroup memory
): MatvecTiling {
  const { leastWorkgroups, threads, earlyBlocks, manyRowsOfW, lanes: mostLanes } = tuning.matvec;
  const units = layout.rowWords / 4;
  const fitting = lanesFor(units, features.subgroups, mostLanes);
  const many = features.subgroups > 0 && part.rows >= manyRowsOfW && units % fitting !== 0;
  const lanes = many ? Math.max(32, features.subgroups) : fitting;
  const most = Math.max(1, Math.floor(part.rows / (BLOCK_ROWS * leastWorkgroups))); // blocks of a workgroup
  const teams = 2 ** Math.floor(Math.log2(Math.min(most, threads / (many ? 2 : 1) / lanes)));
  const blocks = most >= 16 * teams ? 2 : 1;
  const sums = (16 * blocks + 4) * (features.subgroups > 0 ? 64 : lanes * teams); // bytes of workgroup memory
  const room = features.maxWorkgroupMemory - sums - taken;
  const eights = layout.wordCols / 2; // of a unit's columns
  const packed =
    packedDots && layout.format.kind === 'quant' && isAligned(layout) && units * 16 * (eights + 1) <= room;
  const fit = Math.floor(room / (16 * (layout.wordCols + 1))); // units of x as floats
  const tile = Math.min(units, fit < lanes ? fit : fit - (fit % lanes));
  const unitsALane = Math.ceil(units / lanes);
  return {
    packed,
    workgroups: Math.ceil(part.rows / (BLOCK_ROWS * teams * blocks)),
    early: blocks * unitsALane <= earlyBlocks && (packed || tile === units),
    constants: {
      LANES: lanes,
      TEAMS: teams,
      BLOCKS: blocks,
      MOST_GROUPS,
      UNITS_A_LANE: unitsALane,
      ...(packed ? { EIGHTS: eights, TILE_UNITS: units } : { TILE_UNITS: tile }),
    },
  };
}

/** Lanes of a team: whole subgroups, few of them idle; more than 32 hide more of the memory's latency. */
function lanesFor(units: number, subgroup: number, most: number): number {
  if (subgroup === 0) return Math.min(most, Math.max(32, 2 ** Math.ceil(Math.log2(units)))); // a tree of halves
  const step = Math.max(32, subgroup);
  const choices = Array.from({ length: Math.floor(most / step) }, (_, i) => (i + 1) * step);
  const score = (lanes: number) => (units / (lanes * Math.ceil(units / lanes))) * (lanes > 32 ? 1.25 : 1);
  return choices.reduce((best, lanes) => (score(lanes) > score(best) ? lanes : best));
}
