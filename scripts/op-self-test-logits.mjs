// Writes src/engine/selftest/op_self_test_logits.ts: the reference backend's logits of the op self-test's model.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'src/engine/selftest/op_self_test_logits.ts');
const folder = await mkdtemp(join(tmpdir(), 'op-self-test-'));
const outfile = join(folder, 'run.mjs');
await build({
  stdin: {
    contents: `
      import { reference } from './src/backends/reference/index.ts';
      import { knownFormats, knownLogits, knownProgram } from './src/engine/selftest/op_self_test.ts';
      const executor = await reference.create(knownProgram, knownFormats, { slots: 2, numerics: 'exact', threads: 1 });
      export const { logits } = await knownLogits(executor);
    `,
    resolveDir: root,
    loader: 'ts',
  },
  bundle: true,
  format: 'esm',
  platform: 'node',
  outfile,
  // The data itself is what is being made.
  plugins: [
    {
      name: 'no-data',
      setup({ onResolve, onLoad }) {
        onResolve({ filter: /op_self_test_logits\.ts$/ }, ({ path }) => ({ path, namespace: 'data' }));
        onLoad({ filter: /.*/, namespace: 'data' }, () => ({ contents: 'export const KNOWN_LOGITS = [];' }));
      },
    },
  ],
});
const { logits } = await import(pathToFileURL(outfile));
const rows = [];
for (let i = 0; i < logits.length; i += 8)
  rows.push(`  ${[...logits.subarray(i, i + 8)].map((x) => Number(x.toPrecision(7))).join(', ')},`);
await writeFile(
  target,
  `/** Made by scripts/op-self-test-logits.mjs: the reference backend's logits of \`knownProgram\`, [9, 32]. */
// biome-ignore format: a table
export const KNOWN_LOGITS: readonly number[] = [
${rows.join('\n')}
];
`,
);
await rm(folder, { recursive: true });
console.log(`wrote ${target}`);
