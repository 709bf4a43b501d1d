#!/usr/bin/env node
// npm run bench: what this machine reaches, op by op and model by model, verified before it is timed.
//   --models tiny,130m,370m,1.3b   shapes (130m); `tiny` is the embedded model, the others have random weights
//   --threads 1,2  --numerics i8   --quant q4_0  --prompt 512  --tokens 64  --rounds 3
//   --prompts 256,1024,4096        what append, generate and logits of so many tokens take, beside the steps alone
//   --peers        node-llama-cpp on the same files, interleaved, and wllama in Chromium; installed on demand outside
//   --chromium     ours in Chromium, too
//   --state        fork, save, restore, rewind, cached prefixes, several conversations at once
//   --long         prefill at 1,024 and 16,384 tokens, decode after 100 and 100,000
//   --webgpu       models on the GPU instead (needs the package `webgpu`): tokens a second, and every kernel
//   --serve        the same as a page, at an address of this machine, until Ctrl-C
//   --node PATH    another Node        --json FILE   everything as JSON       --quick   a minute at most
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildChildren, child } from './children.mjs';
import { machine } from './machine.mjs';
import { modelFile } from './models.mjs';
import { installPeers } from './peers.mjs';
import { median, promptTable, table } from './report.mjs';
import { serveBench } from './serve.mjs';
import { verifyPeer } from './verify.mjs';
import { measureGpu } from './webgpu.mjs';

const source = readFileSync(new URL(import.meta.url), 'utf8');
const usage = source.match(/^\/\/ .*/gm).map((line) => line.slice(3));

function readOptions(config) {
  try {
    return parseArgs(config).values;
  } catch (error) {
    console.error(`${error.message}\n\n${usage.join('\n')}`);
    process.exit(2);
  }
}

const options = readOptions({
  options: {
    help: { type: 'boolean', default: false },
    models: { type: 'string', default: '130m' },
    threads: { type: 'string', default: '1,2' },
    numerics: { type: 'string', default: 'i8' },
    quant: { type: 'string', default: 'q4_0' },
    prompt: { type: 'string', default: '512' },
    tokens: { type: 'string', default: '64' },
    prompts: { type: 'string', default: '256,1024,4096' },
    rounds: { type: 'string', default: '3' },
    node: { type: 'string', default: process.execPath },
    json: { type: 'string' },
    peers: { type: 'boolean', default: false },
    chromium: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    state: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
    webgpu: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(usage.join('\n'));
  process.exit(0);
}
if (options.quick)
  Object.assign(options, { models: 'tiny', prompt: '128', tokens: '16', rounds: '1', prompts: '16,64' });

const list = (text) => text.split(',').filter(Boolean);
const rounds = Number(options.rounds);
const result = { ...machine(options.node), ops: [], models: [] };

await buildChildren({ browser: options.chromium || options.serve });
if (options.serve) {
  const { url } = await serveBench(8300);
  console.log(`${url} measures the embedded model; ?models=/scratch/130m-q4_0.gguf another`);
  await new Promise(() => {});
}
const peers = options.peers ? await installPeers() : null;
console.log(`${result.device}, ${result.runtime}, commit ${result.commit}, ${result.date}`);
if (result.busy) console.log(`This machine is busy (load ${result.load}): absolute figures say little.`);

if (options.webgpu) result.webgpu = await measureGpu(list(options.models), options);
for (const model of options.webgpu ? [] : list(options.models)) {
  const file = modelFile(model, options.quant);
  for (const threads of list(options.threads)) await measure(model, file, threads);
}
if (options.json) {
  writeFileSync(options.json, `${JSON.stringify(result, null, 1)}\n`);
  console.log(`\n${options.json} written`);
}

/** One model on so many threads: ops, then end to end, with the peers in the same rounds. */
async function measure(model, file, threads) {
  const args = { file, threads, numerics: options.numerics, prompt: options.prompt, tokens: options.tokens };
  const ours = (more) => child('model', { ...args, ...more }, options.node);
  const ops = await child('ops', { ...args, rows: 1 }, options.node);
  const last = threads === list(options.threads).at(-1); // prompts once a model
  const lengths = last ? list(options.prompts).map(Number) : [];
  const prefillOps = await child('ops', { ...args, rows: 64, lengths }, options.node);
  printOps(model, threads, ops, prefillOps);
  result.ops.push({ model, threads, decode: ops, prefill: prefillOps });
  if (peers && model !== 'tiny') await verifyPeer(file, options.node, peers.folder);

  const runs = [];
  const reads = [];
  for (let round = 0; round < rounds; round++) {
    const run = { 'edge-ssm': await ours() };
    if (model !== 'tiny') reads.push(await child('file', { file }, options.node));
    if (options.chromium) run['edge-ssm, Chromium'] = await child('chromium', args, process.execPath);
    if (peers && model !== 'tiny') {
      run['node-llama-cpp'] = await child('llama', { ...args, peers: peers.folder }, options.node);
      if (options.chromium)
        run['wllama, Chromium'] = await child('wllama', { ...args, peers: peers.folder }, process.execPath);
    }
    runs.push(run);
  }
  const engines = Object.keys(runs[0]);
  const of = (engine, what) => median(runs.map((run) => run[engine][what]).filter((value) => value > 0));
  const rows = engines.map((engine) => {
    const ratio = (what) => median(runs.map((run) => run['edge-ssm'][what] / run[engine][what]));
    return {
      engine,
      'load ms': of(engine, 'loadMs'),
      'prefill tok/s': of(engine, 'prefill'),
      'decode tok/s': of(engine, 'decode'),
      'first token ms': of(engine, 'firstTokenMs'),
      'peak MiB': of(engine, 'peakBytes') / 2 ** 20,
      ...(engine !== 'edge-ssm' && { 'ours / prefill': ratio('prefill'), 'ours / decode': ratio('decode') }),
    };
  });
  console.log(`\n${model}, ${options.quant}, ${options.numerics}, ${threads} threads, ${rounds} rounds`);
  console.log(table(rows));
  const streamed = ops.bytesPerToken * of('edge-ssm', 'decode');
  const share = streamed / ops.bandwidth;
  console.log(
    `decode streams ${(streamed / 1e9).toFixed(1)} GB/s, ${(100 * share).toFixed(0)} % of the ${(ops.bandwidth / 1e9).toFixed(1)} GB/s that this runtime reads; outside the module ${(100 * ops.overhead).toFixed(1)} % of a token`,
  );
  if (reads.length > 0) {
    const times = (what) => median(runs.map((run, i) => run['edge-ssm'].loadMs / reads[i][what])).toFixed(1);
    console.log(
      `load takes ${times('toMemoryMs')} × reading the file to memory once, ${times('pastMs')} × reading it past a small buffer`,
    );
  }
  const calls = last ? await child('prompts', { ...args, lengths, rounds }, options.node) : null;
  if (calls) console.log(promptTable(prefillOps.prompts, calls));
  const entry = {
    model,
    threads,
    calls,
    runs,
    rows,
    streamed,
    bandwidth: ops.bandwidth,
    overhead: ops.overhead,
    reads,
  };
  if (options.long) {
    entry.long = await child('long', args, options.node);
    console.log(entry.long.lines.join('\n'));
  }
  if (options.state) {
    entry.state = await child('state', args, options.node);
    console.log(entry.state.lines.join('\n'));
  }
  result.models.push(entry);
}

function printOps(model, threads, decode, prefill) {
  console.log(`\n${model}, ${threads} threads: ops (checked against the reference first)`);
  const rows = decode.ops.map(({ op, ms, bytes }) => {
    const many = prefill.ops.find((other) => other.op === op);
    return {
      op,
      'decode ms': ms,
      'GB/s': bytes > 0 ? bytes / ms / 1e6 : Number.NaN,
      'of reading %': bytes > 0 ? (100 * bytes) / ms / 1e-3 / decode.bandwidth : Number.NaN,
      '64 rows ms': many.ms,
      'GOP/s': many.operations > 0 ? many.operations / many.ms / 1e6 : Number.NaN,
    };
  });
  console.log(table(rows));
}
