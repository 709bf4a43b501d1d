import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { launch } from '../browser/chromium.ts';
import { BUNDLERS, provided } from '../helpers/provided.ts';
import { PROMPT, projectOf, start } from './bundling.ts';

const WRITE = `
  const model = await load('tiny');
  const { text } = await model.generate(${JSON.stringify(PROMPT)}, { maxTokens: 12 }).result();
  await model.dispose();`;

/** A client page that generates once its button is clicked, and a route handler that does. */
const FILES = {
  'package.json': '{ "private": true }',
  'app/layout.js': 'export default ({ children }) => <html><body>{children}</body></html>;',
  'app/page.js': `
    'use client';
    import { load } from 'edge-ssm';
    import { useState } from 'react';
    export default function Page() {
      const [written, setWritten] = useState('');
      async function write() {
        try {
          ${WRITE}
          setWritten(text);
        } catch (error) {
          setWritten(String(error));
        }
      }
      return <main><button onClick={write}>Write</button><output>{written}</output></main>;
    }`,
  'app/write/route.js': `
    import { load } from 'edge-ssm';
    export const dynamic = 'force-dynamic';
    export async function GET() {
      ${WRITE}
      return new Response(text);
    }`,
  // What is minified and checked for types is not of interest here, and takes its time.
  'next.config.mjs': `export default {
    turbopack: { root: '/' }, // above what is linked
    typescript: { ignoreBuildErrors: true },
    experimental: { serverMinification: false, turbopackMinify: false },
    webpack: (config) => ({ ...config, optimization: { ...config.optimization, minimize: false } }),
  };`,
};
const NEXT = join(BUNDLERS, 'node_modules/next/dist/bin/next');
const ENVIRONMENT = { NEXT_TELEMETRY_DISABLED: '1' };

for (const bundler of ['turbopack', 'webpack'])
  test(`Next.js by ${bundler}: a client page and a route handler write`, {
    timeout: 400_000,
  }, async (context) => {
    for (const what of ['bundlers', 'chromium'] as const) provided(context, what);
    const project = projectOf(FILES, ['next', 'react', 'react-dom']);
    const env = { ...process.env, ...ENVIRONMENT, NODE_ENV: 'production' as const };
    execFileSync(process.execPath, [NEXT, 'build', `--${bundler}`], { cwd: project, env, stdio: 'pipe' });
    const copies = readdirSync(join(project, '.next/static/media')).filter((name) =>
      name.endsWith('.safetensors'),
    );
    expect(copies.length).toBe(1);
    const command = [process.execPath, NEXT, 'start', '-p', '0', '-H', '127.0.0.1'];
    const server = await start(
      command,
      project,
      { ...ENVIRONMENT, NODE_ENV: 'production' },
      /http:\/\/127\.0\.0\.1:(\d+)[\s\S]*Ready/,
    );
    const browser = await launch();
    try {
      const url = `http://127.0.0.1:${server.match[1]}/`;
      const text = await (await fetch(`${url}write`)).text();
      expect(text).toMatch(/^ [a-z ,.A-Z]{20,}/);
      const page = await browser.newPage();
      await page.goto(url);
      await page.click('button');
      await page.waitForFunction("document.querySelector('output').textContent");
      expect(await page.textContent('output')).toBe(text);
    } finally {
      await browser.close();
      await server.stop();
    }
  });
