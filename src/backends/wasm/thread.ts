import { instantiate } from './module.ts';
import type { ThreadData } from './threads.ts';

/** In a thread of the team: gets ready with the data it was started with; the result runs until the team stops. */
export async function prepareThread(data: unknown): Promise<() => void> {
  const { module, memory, team, index, stack } = data as ThreadData;
  const kernels = await instantiate(module, memory, stack);
  return () => kernels.team_run?.(team, index);
}
