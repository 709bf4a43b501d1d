import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { NANO } from '../worker/models.ts';
import { CELLS, dyingWorker, settle } from './table.ts';

test('whatever ends a call, its promises settle, and say what it was', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-settle-'));
  const script = join(folder, 'dying-worker.cjs');
  writeFileSync(script, dyingWorker((await import('../../dist/node/engine-worker.script.js')).default));
  const found = await settle({ load, source: NANO, workerUrl: pathToFileURL(script) });
  expect(found).toEqual({ faults: [], cells: CELLS });
  rmSync(folder, { recursive: true });
});
