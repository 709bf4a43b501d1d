/** The script of one thread of the WASM thread pool, where threads have a script of their own. */
import { serveThread } from '#runtime';
import { prepareThread } from '../src/backends/wasm/thread.ts';

serveThread(prepareThread);
