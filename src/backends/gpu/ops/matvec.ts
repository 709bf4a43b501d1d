import { isAligned, type LinearLayout } from '../linear_layout.ts';
import type { LinearPart, Planner } from '../planner.ts';

export const MOST_GROUPS = 65_535; // of a dimension
const BLOCK_ROWS = 4; // of W, that a team of threads has at a time in matvec
const MATVEC_GROUPS = 48; // workgroups of matvec that a GPU wants at least
const MATVEC_THREADS = 256;
const MOST_EARLY = 2; // blocks that a thread asks for at once: more take too many registers
const MANY_ROWS = 4096; // of W: enough for teams of one subgroup, in smaller workgroups, where larger teams would idle

/**
 * How matvec cuts a weight: as many lanes as a row has vec4<u32>; several teams a workgroup, and blocks of rows a team
 * of few lanes, as long as there are workgroups for a whole GPU: they share the row of x. Measured on an H100.
 */
export function teams(
  layout: LinearLayout,
  part: LinearPart,
  { features, packedDots }: Planner,
  taken = 0, // bytes of workgroup memory
) {
  const units = layout.rowWords / 4;
  const fitting = lanesFor(units, features.subgroups);
  const many = features.subgroups > 0 && part.rows >= MANY_ROWS && units % fitting !== 0;
  const lanes = many ? Math.max(32, features.subgroups) : fitting;
  const most = Math.max(1, Math.floor(part.rows / (BLOCK_ROWS * MATVEC_GROUPS))); // blocks of a workgroup
  const teams = 2 ** Math.floor(Math.log2(Math.min(most, MATVEC_THREADS / (many ? 2 : 1) / lanes)));
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
    groups: Math.ceil(part.rows / (BLOCK_ROWS * teams * blocks)),
    early: blocks * unitsALane <= MOST_EARLY && (packed || tile === units),
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
function lanesFor(units: number, subgroup: number): number {
  if (subgroup === 0) return Math.min(128, Math.max(32, 2 ** Math.ceil(Math.log2(units)))); // a tree of halves
  const step = Math.max(32, subgroup);
  const choices = Array.from({ length: Math.floor(128 / step) }, (_, i) => (i + 1) * step);
  const score = (lanes: number) => (units / (lanes * Math.ceil(units / lanes))) * (lanes > 32 ? 1.25 : 1);
  return choices.reduce((best, lanes) => (score(lanes) > score(best) ? lanes : best));
}
