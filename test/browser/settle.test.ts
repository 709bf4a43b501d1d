import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { provided } from '../helpers/provided.ts';
import { CONSUMER, INSTALLED } from '../package/context.ts';
import { CELLS, dyingWorker } from '../settle/table.ts';
import { launch } from './chromium.ts';
import { serve } from './server.ts';

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const PAGE = `
  import { load } from 'edge-ssm';
  import { settle } from ${JSON.stringify(project('test/settle/table.ts'))};
  globalThis.settle = () => settle({ load, source: 'nano/', workerUrl: 'dying-worker.js' });`;

test('in a page, whatever ends a call, its promises settle, and say what it was', async (context) => {
  provided(context, 'chromium');
  const outdir = join(CONSUMER, 'settle-site');
  mkdirSync(outdir, { recursive: true });
  await build({
    stdin: { contents: PAGE, resolveDir: CONSUMER, sourcefile: 'page.js' },
    bundle: true,
    splitting: true,
    format: 'esm',
    outdir,
    entryNames: 'page',
    logLevel: 'error',
  });
  cpSync(project('test/models/nano'), join(outdir, 'nano'), { recursive: true });
  cpSync(join(INSTALLED, 'dist/browser/engine-worker.js'), join(outdir, 'engine-worker.js'));
  writeFileSync(join(outdir, 'dying-worker.js'), dyingWorker("importScripts('engine-worker.js')"));
  writeFileSync(join(outdir, 'index.html'), '<!doctype html><script type="module" src="page.js"></script>');
  const site = await serve(outdir);
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction('globalThis.settle');
    expect(await page.evaluate('settle()')).toEqual({ faults: [], cells: CELLS });
  } finally {
    await browser.close();
    site.close();
  }
});
