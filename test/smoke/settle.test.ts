import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transformSync } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { provided, runtimeBinary } from '../helpers/provided.ts';
import { CONSUMER, INSTALLED, runScript } from '../package/context.ts';
import { CELLS, dyingWorker } from '../settle/table.ts';
import { COMMANDS } from './commands.ts';

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const engine = pathToFileURL(join(INSTALLED, 'dist/node/engine-worker.script.js')).href;
const worker = join(CONSUMER, 'dying-worker.cjs');

const SCRIPT = `
  import { load } from 'edge-ssm';
  import { settle } from './settle-table.mjs';
  const workerUrl = ${JSON.stringify(pathToFileURL(worker).href)};
  const found = await settle({ load, source: ${JSON.stringify(project('test/models/nano'))}, workerUrl });
  console.log(JSON.stringify(found));`;

describe.each(COMMANDS)('%s', (runtime, _, args) => {
  test('whatever ends a call, its promises settle, and say what it was', async (context) => {
    provided(context, runtime);
    const { code } = transformSync(readFileSync(project('test/settle/table.ts'), 'utf8'), { loader: 'ts' });
    writeFileSync(join(CONSUMER, 'settle-table.mjs'), code);
    writeFileSync(worker, dyingWorker((await import(engine)).default));
    const found = JSON.parse(await runScript('settle.mjs', SCRIPT, [runtimeBinary(runtime), ...args]));
    expect(found).toEqual({ faults: [], cells: CELLS });
  });
});
