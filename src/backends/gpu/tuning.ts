import type { Features } from './launch.ts';

/** The tile of products that a workgroup makes with matrices of subgroups. */
export interface MatrixTiling {
  rowsOfX: number;
  rowsOfW: number;
  subgroupsDown: number;
  subgroupsAcross: number;
}

/**
 * Sizes that kernels are cut into, a group a kernel. Results are right with any of them; speed is what they decide.
 */
export interface Tuning {
  readonly matvec: {
    mostRowsOfX: number; // more rows are tiles: until then to read W again from the cache is no dearer than half-empty tiles
    leastWorkgroups: number; // that a GPU wants
    threads: number; // of a workgroup, at most
    lanes: number; // of a row, at most
    earlyBlocks: number; // that a thread asks for at once: more take too many registers
    manyRowsOfW: number; // enough for rows of one subgroup each, in smaller workgroups, where larger ones would idle
  };
  readonly matmul: {
    wide: boolean; // tiles of 128 rows of W, where there are enough of them
    leastWorkgroups: number;
  };
  readonly matmulF16: { rowsOfX: number; rowsOfW: number }; // of a tile
  readonly subgroupMatrix: {
    leastRowsOfX: number; // fewer are matvec's
    fewRowsOfX: number; // that `few` and `small` are for
    few: MatrixTiling;
    small: MatrixTiling; // for few workgroups, or little memory
    many: MatrixTiling;
    workgroups: number; // that a GPU wants: columns are split until there are as many
    mostSplits: number;
    leastBlocks: number; // of 64 columns, in a split
  };
  readonly ssdScan: {
    channels: number; // of a workgroup, at most
    slices: number; // threads that share a channel's states
    rows: number; // whose B and C lie in workgroup memory, at most
  };
  readonly mamba2Project: {
    channels: number; // of a workgroup: twice those of the scan make half as many partial sums
    loads: number; // units of four rows of W that a thread asks for at once, at most
    partialSumBytes: number; // that every workgroup of the next projection reads, at most
  };
}

/** Chooses for a device. The numbers were measured on an H100. */
export function tuningOf({ maxWorkgroupMemory }: Features): Tuning {
  const roomy = maxWorkgroupMemory >= 32_768;
  return {
    matvec: {
      mostRowsOfX: 32,
      leastWorkgroups: 48,
      threads: 256,
      lanes: 128,
      earlyBlocks: 2,
      manyRowsOfW: 4096,
    },
    matmul: { wide: roomy, leastWorkgroups: 256 },
    matmulF16: roomy ? { rowsOfX: 64, rowsOfW: 128 } : { rowsOfX: 32, rowsOfW: 64 },
    subgroupMatrix: {
      leastRowsOfX: 8,
      fewRowsOfX: 32,
      few: { rowsOfX: 32, rowsOfW: 64, subgroupsDown: 1, subgroupsAcross: 4 },
      small: { rowsOfX: 32, rowsOfW: 32, subgroupsDown: 2, subgroupsAcross: 2 },
      many: { rowsOfX: 64, rowsOfW: 64, subgroupsDown: 2, subgroupsAcross: 2 },
      workgroups: 264, // two for each processor
      mostSplits: 8,
      leastBlocks: 8,
    },
    ssdScan: { channels: 32, slices: 8, rows: 16 },
    mamba2Project: { channels: 64, loads: 2, partialSumBytes: 160 * 1024 },
  };
}
