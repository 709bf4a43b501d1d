import { instantiate } from './module.ts';
import type { ThreadData } from './thread_pool.ts';

/** In a thread of the pool: gets ready with the data it was started with; the result runs until the pool stops. */
export async function prepareThread(data: unknown): Promise<() => void> {
  const { module, memory, pool, index, stack } = data as ThreadData;
  const kernels = await instantiate(module, memory, stack);
  return () => kernels.pool_run?.(pool, index);
}
