import type { WeightFormat } from '../types.ts';

/** 'f16' or 'q4 in groups of 32', as snapshots name weights. */
export function formatName(format: WeightFormat): string {
  return format.kind === 'float' ? format.dtype : `q${format.bits} in groups of ${format.group}`;
}

/** All that tells formats apart: 'q4 in groups of 32, f16 scales and offsets'. */
export function fullFormatName(format: WeightFormat): string {
  if (format.kind === 'float') return format.dtype;
  return `${formatName(format)}, ${format.scaleDtype} scales${format.hasBias ? ' and offsets' : ''}`;
}

export function sameFormat(a: WeightFormat, b: WeightFormat): boolean {
  return fullFormatName(a) === fullFormatName(b);
}
