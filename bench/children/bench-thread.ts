/** A thread of the team, or one that reads memory, for bench/children/ops.ts. */
import { parentPort } from 'node:worker_threads';
import { prepareThread } from '../../src/backends/wasm/index.ts';
import { memoryToRead, readAll } from './read.ts';

let memory: Buffer | undefined;

parentPort!.on('message', async (message: 'read' | { team: unknown }) => {
  if (message === 'read') {
    memory ??= memoryToRead();
    readAll(memory);
    parentPort!.postMessage('done');
    return;
  }
  const run = await prepareThread(message.team);
  parentPort!.postMessage('ready');
  run();
});
