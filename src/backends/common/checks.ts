import { EdgeError } from '../../errors.ts';
import type { Program } from '../../ops/program.ts';
import type { Step } from '../types.ts';

/** Throws OUT_OF_MEMORY, with the numbers, before anything is allocated. */
export function checkBudget(backend: string, totalBytes: number, budget = Number.POSITIVE_INFINITY): void {
  if (totalBytes > budget)
    throw new EdgeError(
      'OUT_OF_MEMORY',
      `The ${backend} backend needs ${totalBytes} bytes, the budget is ${budget}: raise memoryBudget, quantize further or lower maxSessions`,
    );
}

/** Throws INTERNAL for a step that contradicts itself or the program. */
export function checkStep(where: string, step: Step, program: Program, slots: number): void {
  const { ids, segments, outputs } = step;
  const fault = (message: string) => new EdgeError('INTERNAL', `${where}: ${message}`);
  if (segments.length > slots) throw fault(`${segments.length} segments in ${slots} slots`);
  let total = 0;
  for (const { slot, position, rows } of segments) {
    if (!(slot >= 0 && slot < slots && position >= 0 && rows >= 1))
      throw fault(`segment of slot ${slot} at ${position}, ${rows} rows`);
    total += rows;
  }
  if (total !== ids.length || total < 1 || total > program.chunk)
    throw fault(`${total} rows in segments, ${ids.length} ids, chunk ${program.chunk}`);
  for (let i = 0; i < total; i++)
    if (!(ids[i]! >= 0 && ids[i]! < program.vocabSize))
      throw fault(`id ${ids[i]} in a vocabulary of ${program.vocabSize}`);
  for (const [i, { row }] of outputs.entries())
    if (!(row >= (outputs[i - 1]?.row ?? 0) && row < total)) throw fault(`output ${i} of row ${row}`);
}
