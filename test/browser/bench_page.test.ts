import { expect, test } from 'vitest';
import { provided } from '../helpers/provided.ts';
import { launch } from './chromium.ts';

/** What bench/serve.mjs exports; it has no declarations. */
type ServeBench = () => Promise<{ url: string; close(): void }>;

test('the bench as a page: verified figures for each number of threads', async (context) => {
  provided(context, 'chromium');
  const path = new URL('../../bench/serve.mjs', import.meta.url).href;
  const { serveBench } = (await import(path)) as { serveBench: ServeBench };
  const site = await serveBench();
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(`${site.url}?prompt=64&tokens=8`);
    await page.waitForFunction("!document.getElementById('state').textContent.startsWith('measuring')");
    expect(await page.textContent('#state')).toMatch(/^done/);
    const results = (await page.evaluate('results')) as Record<string, number>[];
    expect(results.map(({ threads }) => threads)).toContain(1);
    for (const result of results)
      for (const name of ['loadMs', 'firstTokenMs', 'prefill', 'decode'])
        expect(result[name]).toBeGreaterThan(0);
    expect(await page.locator('tbody tr').count()).toBe(results.length);
  } finally {
    await browser.close();
    site.close();
  }
});
