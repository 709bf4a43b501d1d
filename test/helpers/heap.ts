import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
export const collect: (options: { type: 'major'; execution: 'async' }) => Promise<void> =
  runInNewContext('gc');

/** Bytes that are held; in a task of its own: what this call's stack or a past turn still holds would count. */
export async function held(): Promise<number> {
  await collect({ type: 'major', execution: 'async' });
  await collect({ type: 'major', execution: 'async' });
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
