#!/usr/bin/env node
// What quantization and integer activations cost a model, in bits per byte of texts it was not trained on:
//   node bench/quality.mjs MODEL TEXTS [SOURCE]
// MODEL holds floats; TEXTS is heldout.json of models/train/data.py (SOURCE: tinystories-sample), or a text file whose
// documents are parted by lines `<|endoftext|>`. Each document is scored on its own, from bos to eos.
import { readFileSync } from 'node:fs';
import { buildNode } from '../scripts/build.mjs';
import { table } from './report.mjs';

const [model, texts, source = 'tinystories-sample'] = process.argv.slice(2);
if (!texts) {
  console.error('node bench/quality.mjs MODEL TEXTS [SOURCE]');
  process.exit(2);
}
const content = readFileSync(texts, 'utf8');
const documents = texts.endsWith('.json')
  ? JSON.parse(content)[source]
  : content.split(/\n?<\|endoftext\|>\n?/).filter(Boolean);

await buildNode();
const { load } = await import('../dist/node/index.js');

/** Bits per byte over all documents. */
async function measure(quantize, numerics) {
  const loaded = await load(model, { quantize, numerics });
  const edge = loaded.info.bosTokenId ?? loaded.info.eosTokenIds[0];
  let [nats, bytes] = [0, 0];
  for (const document of documents) {
    const { total } = await loaded.score([edge, ...(await loaded.tokenizer.encode(document)), edge]);
    nats -= total;
    bytes += Buffer.byteLength(document);
  }
  await loaded.dispose();
  return nats / Math.LN2 / bytes;
}

const floats = await measure('none', 'exact');
const rows = [{ weights: 'float', exact: floats.toFixed(5) }];
for (const quantize of ['q8', 'q4']) {
  const row = { weights: quantize };
  for (const numerics of ['exact', 'i16', 'i8']) {
    const value = await measure(quantize, numerics);
    row[numerics] = `${value.toFixed(5)} (+${(100 * (value / floats - 1)).toFixed(2)} %)`;
  }
  rows.push(row);
}
console.log(`${documents.length} documents, bits per byte`);
console.log(table(rows));
