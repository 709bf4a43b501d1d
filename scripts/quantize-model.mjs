#!/usr/bin/env node
// Quantizes a checkpoint into our own container:
//   node scripts/quantize-model.mjs <model> <out folder> [--bits 8] [--expected <logits.safetensors>]
// Writes model.safetensors, config.json and, where the model has one, tokenizer.json. With a file of prompts
// (`*.ids`) and logits (`*.logits`), reports the error that quantization makes, and stores greedy tokens of the
// quantized model in the metadata, for selfTest: after each prompt the longest run where the best one leads clearly.
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
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
          export { parseJson, stringifyJson } from './src/weights/json.ts';
          export { weightFormats } from './src/weights/plan.ts';
          export { readSafetensorsHeader } from './src/weights/safetensors.ts';
          export { uploadWeights } from './src/weights/upload.ts';
          export { reference } from './src/backends/reference/index.ts';
          export { writeFileAtomic } from '#runtime';`,
        resolveDir: root,
      },
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      external: ['comlink', '../../dist/*'],
      outfile,
      logLevel: 'warning',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const MARGIN = 0.5; // of a golden token's logit over the next: well above the error of integer activations
const GREEDY = 60; // tokens after each prompt

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { bits: { type: 'string', default: '8' }, expected: { type: 'string' } },
});
const [model, out] = positionals;
if (!model || !out || !['4', '8'].includes(values.bits)) {
  console.error('Usage: node scripts/quantize-model.mjs <model> <out folder> [--bits 4|8] [--expected FILE]');
  process.exit(2);
}

const lib = await bundle();
const target = join(out, 'model.safetensors');
await mkdir(out, { recursive: true });

async function open(path) {
  const files = await lib.openFileSet(path);
  const checkpoint = await lib.openCheckpoint(files);
  const { config, tensors } = checkpoint;
  const blueprint = lib.findArchitecture(config).read(config, tensors);
  const program = blueprint.program({ chunk: 64, maxContext: 1024 });
  const plan = lib.weightFormats(checkpoint, blueprint.sources, program.weights, `q${values.bits}`);
  return { files, checkpoint, blueprint, program, ...plan };
}

/** Logits after every prompt against the expected ones, and the greedy tokens that follow it. */
async function measure(expected) {
  const { checkpoint, blueprint, program, formats } = await open(target);
  const executor = await lib.reference.create(program, formats, { slots: 1, numerics: 'exact', threads: 1 });
  const upload = (name, row, tensor) => executor.upload(name, row, tensor);
  await lib.uploadWeights(checkpoint, blueprint.sources, program.weights, formats, upload, { blockRows: 64 });
  await executor.ready();
  const golden = [];
  let [difference, norm] = [0, 0];
  for (const [key, { begin, end }] of expected.entries) {
    if (!key.endsWith('.ids')) continue;
    const logitsAt = expected.entries.get(key.replace('.ids', '.logits'));
    const ids = new Int32Array(expected.bytes.slice(begin, end).buffer);
    const logits = new Float32Array(expected.bytes.slice(logitsAt.begin, logitsAt.end).buffer);
    const sequence = [...ids];
    const runs = [{ ids: sequence.slice(), tokens: [] }]; // of tokens that lead clearly, each after what precedes it
    await executor.resetSlot(0);
    for (let position = 0; position < ids.length + GREEDY; position++) {
      const step = { ids: Int32Array.of(sequence[position]), segments: [{ slot: 0, position, rows: 1 }] };
      const [found] = await executor.step({ ...step, outputs: [{ row: 0, logits: true }] });
      if (position < ids.length)
        found.logits.forEach((x, i) => {
          const wanted = logits[position * program.vocabSize + i];
          difference += (x - wanted) ** 2;
          norm += wanted ** 2;
        });
      if (position < ids.length - 1) continue;
      const order = Array.from(found.logits, (_, i) => i).sort((a, b) => found.logits[b] - found.logits[a]);
      sequence.push(order[0]);
      if (found.logits[order[0]] - found.logits[order[1]] >= MARGIN) runs.at(-1).tokens.push(order[0]);
      else runs.push({ ids: sequence.slice(), tokens: [] });
    }
    golden.push(runs.reduce((a, b) => (b.tokens.length > a.tokens.length ? b : a)));
  }
  await executor.dispose();
  await checkpoint.close();
  return { error: Math.sqrt(difference / norm), golden };
}

const { files, checkpoint, blueprint, formats, parameters } = await open(model);
const codes = new Map(
  Object.entries(formats)
    .filter(([, format]) => format.kind === 'quant')
    .map(([name, format]) => [blueprint.sources[name].tensor, format]),
);
await lib.writeFileAtomic(target, lib.convertCheckpoint(checkpoint, codes));
console.log(
  `${blueprint.architecture}: ${parameters} parameters, ${codes.size} matrices at ${values.bits} bits`,
);
if (values.expected) {
  const source = await (await lib.openFileSet(values.expected)).open(basename(values.expected));
  const { entries } = await lib.readSafetensorsHeader(source);
  const { error, golden } = await measure({ entries, bytes: await source.read(0, source.size) });
  await source.close();
  const metadata = { selftest: JSON.stringify(golden) };
  await lib.writeFileAtomic(target, lib.convertCheckpoint(checkpoint, codes, { metadata }));
  console.log(`relative error of the logits ${error.toExponential(2)}`);
  console.log(`golden tokens: ${golden.map(({ tokens }) => tokens.length).join(', ')}`);
}
for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
  const source = await files.open(file);
  if (!source) continue;
  const text = new TextDecoder().decode(await source.read(0, source.size));
  const config = file.endsWith('config.json'); // which may hold infinities
  const json = config ? lib.stringifyJson(lib.parseJson(file, text)) : JSON.stringify(JSON.parse(text));
  await lib.writeFileAtomic(join(out, file), [new TextEncoder().encode(json)]); // without spaces
  await source.close();
}
await checkpoint.close();
