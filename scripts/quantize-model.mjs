#!/usr/bin/env node
// Quantizes a checkpoint into our own container:
//   node scripts/quantize-model.mjs <model> <out folder> [--bits 8]
// Writes model.safetensors, config.json and, where the model has one, tokenizer.json.
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The library's readers and writers, bundled so that any Node runs them. */
async function bundle() {
  const folder = mkdtempSync(join(root, 'node_modules/.quantize-'));
  const outfile = join(folder, 'lib.mjs');
  try {
    await build({
      stdin: {
        contents: `
          export { findArchitecture } from './models/index.ts';
          export { openFileSet } from './src/io/fileset.ts';
          export { openCheckpoint } from './src/weights/checkpoint.ts';
          export { convertCheckpoint } from './src/weights/convert.ts';
          export { weightFormats } from './src/weights/plan.ts';
          export { writeFileAtomic } from '#runtime';`,
        resolveDir: root,
      },
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      external: ['comlink'],
      outfile,
      logLevel: 'warning',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { bits: { type: 'string', default: '8' } },
});
const [model, out] = positionals;
if (!model || !out || !['4', '8'].includes(values.bits)) {
  console.error('Usage: node scripts/quantize-model.mjs <model> <out folder> [--bits 4|8]');
  process.exit(2);
}

const lib = await bundle();
const files = await lib.openFileSet(model);
const checkpoint = await lib.openCheckpoint(files);
const blueprint = lib.findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
const { weights } = blueprint.program({ chunk: 64, maxContext: 1024 });
const { formats, parameters } = lib.weightFormats(checkpoint, blueprint.sources, weights, `q${values.bits}`);
const codes = new Map(
  Object.entries(formats)
    .filter(([, format]) => format.kind === 'quant')
    .map(([name, format]) => [blueprint.sources[name].tensor, format]),
);
await mkdir(out, { recursive: true });
await lib.writeFileAtomic(join(out, 'model.safetensors'), lib.convertCheckpoint(checkpoint, codes));
for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
  const source = await files.open(file);
  if (!source) continue;
  await lib.writeFileAtomic(join(out, file), [await source.read(0, source.size)]);
  await source.close();
}
await checkpoint.close();
console.log(
  `${blueprint.architecture}: ${parameters} parameters, ${codes.size} matrices at ${values.bits} bits`,
);
