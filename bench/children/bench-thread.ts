/** A thread of the pool, or one that reads memory, for bench/children/ops.ts. */
import { parentPort } from 'node:worker_threads';
import { prepareThread } from '../../src/backends/wasm/index.ts';
import { memoryToRead, readAll } from './read.ts';

let memory: Buffer | undefined;

parentPort!.on('message', async (message: 'read' | { pool: unknown }) => {
  if (message === 'read') {
    memory ??= memoryToRead();
    readAll(memory);
    parentPort!.postMessage('done');
    return;
  }
  const run = await prepareThread(message.pool);
  parentPort!.postMessage('ready');
  run();
});
