import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-memory-'));
const child = join(folder, 'child.mjs');

/** A mamba2 of 1 GB: float16, d_model 2048, 18 layers, vocabulary 50,288. */
function writeModel(): void {
  const [d, layers, vocab] = [2048, 18, 50_288];
  const [inner, heads, state] = [2 * d, (2 * d) / 64, 128];
  const channels = inner + 2 * state;
  const shapes: [string, number[]][] = [
    ['backbone.embeddings.weight', [vocab, d]],
    ['backbone.norm_f.weight', [d]],
  ];
  for (let i = 0; i < layers; i++) {
    const mixer = `backbone.layers.${i}.mixer`;
    shapes.push(
      [`backbone.layers.${i}.norm.weight`, [d]],
      [`${mixer}.in_proj.weight`, [inner + channels + heads, d]],
      [`${mixer}.conv1d.weight`, [channels, 1, 4]],
      [`${mixer}.conv1d.bias`, [channels]],
      [`${mixer}.dt_bias`, [heads]],
      [`${mixer}.A_log`, [heads]],
      [`${mixer}.D`, [heads]],
      [`${mixer}.norm.weight`, [inner]],
      [`${mixer}.out_proj.weight`, [d, inner]],
    );
  }
  let at = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of shapes) {
    const bytes = 2 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F16', shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeSync(file, length);
  writeSync(file, text);
  // Finite float16 numbers of both signs.
  const noise = Uint16Array.from({ length: 4 * MIB }, (_, i) => (Math.imul(i, 2654435761) >>> 16) & 0xbbff);
  for (let left = at; left > 0; left -= noise.byteLength)
    writeSync(file, new Uint8Array(noise.buffer, 0, Math.min(left, noise.byteLength)));
  closeSync(file);
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({
      model_type: 'mamba2',
      hidden_size: d,
      num_hidden_layers: layers,
      vocab_size: vocab,
      conv_kernel: 4,
      state_size: state,
      n_groups: 1,
      num_heads: heads,
      head_dim: 64,
      expand: 2,
      tie_word_embeddings: true,
    }),
  );
}

beforeAll(async () => {
  writeModel();
  await build({
    entryPoints: [new URL('load_child.ts', import.meta.url).pathname],
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    // The runtime's worker host imports comlink, which this child never starts.
    alias: { 'comlink/dist/esm/node-adapter.mjs': 'node:os' },
    outfile: child,
  });
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true }));

test.each(['q4', 'q8', 'none'] as const)(
  'loading 1 GB as %s peaks below final weights + the largest tensor + 64 MiB',
  (quantize) => {
    const output = execFileSync(process.execPath, [child, folder, quantize]);
    const { before, after, bytes, largest } = JSON.parse(String(output)) as Record<string, number>;
    const grown = after! - before!;
    console.log(
      `${quantize}: ${(bytes! / MIB).toFixed(0)} MiB of weights, largest tensor ${(largest! / MIB).toFixed(0)} MiB, ` +
        `memory grew by ${(grown / MIB).toFixed(0)} MiB`,
    );
    expect(bytes).toBeGreaterThan(quantize === 'q4' ? 250 * MIB : 500 * MIB);
    expect(grown).toBeLessThanOrEqual(bytes! + largest! + 64 * MIB);
  },
  300_000,
);
