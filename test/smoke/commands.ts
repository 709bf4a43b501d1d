import type { Runtime } from '../helpers/provided.ts';

/** Other runtimes, by what their devices are called, and how they run a script. */
export const COMMANDS: [Runtime, string, string[]][] = [
  ['node-24', 'Node.js 24', []],
  ['bun', 'Bun', []],
  ['deno', 'Deno', ['run', '--allow-all', '--node-modules-dir=manual']],
];
