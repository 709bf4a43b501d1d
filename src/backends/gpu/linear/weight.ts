import type { KernelSettings, Launch } from '../launch.ts';
import type { LinearPart } from '../planner.ts';
import { isAligned, type LinearLayout } from './layout.ts';

/** What lib/weight.wgsl, lib/unit.wgsl and lib/block.wgsl want to know of a part of a linear weight. */
export function weightSettings(
  layout: LinearLayout,
  { first, rows }: LinearPart,
): Required<Omit<KernelSettings, 'tables'>> {
  const { format, cols, rowWords, wordCols, groups } = layout;
  const aligned = isAligned(layout);
  const constants = {
    COLS: cols,
    ROWS: rows,
    FIRST: first,
    ROW_VECTORS: rowWords / 4,
    WORD_COLS: wordCols,
    ...(aligned && { UNIT: 4 * wordCols }),
  };
  if (format.kind === 'float')
    return {
      flags: { ALIGNED: aligned, F32_WEIGHTS: format.dtype === 'f32', F16_WEIGHTS: format.dtype === 'f16' },
      constants,
      floats: {},
    };
  const middle = 2 ** (format.bits - 1);
  return {
    flags: {
      ALIGNED: aligned,
      QUANT: true,
      QUANT4: format.bits === 4,
      QUANT8: format.bits === 8,
      OFFSETS: format.hasBias,
      F32_SCALES: format.scaleDtype === 'f32',
    },
    constants: { ...constants, GROUP: format.group, GROUPS: groups, BITS: format.bits },
    floats: { MIDDLE: middle, CENTER_CODE: format.hasBias ? 0 : middle },
  };
}

export function weightSlices({ words, scales }: LinearPart): Launch['slices'] {
  return { words: { buffer: words }, ...(scales !== null && { scales: { buffer: scales } }) };
}
