/** The median; NaN of nothing. */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted ? values.toSorted((a, b) => a - b) : [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const shown = (value) => {
  if (typeof value !== 'number') return String(value ?? '');
  if (Number.isNaN(value)) return '–';
  return value >= 1000 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
};

/** Rows of objects as a table of aligned columns. */
export function table(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [names, ...rows.map((row) => names.map((name) => shown(row[name])))];
  const widths = names.map((_, i) => Math.max(...cells.map((row) => row[i].length)));
  return cells
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
    )
    .join('\n');
}

/** What prompts of each length take: the executor's steps alone, and the calls of the public API. In ms. */
export function promptTable(executor, calls) {
  const rows = Object.entries({ 'the steps alone': executor, ...calls });
  return table(
    rows.map(([call, times]) => ({
      'prompt ms': call,
      ...Object.fromEntries(Object.entries(times).map(([length, ms]) => [`${length} tokens`, ms])),
    })),
  );
}
