import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend } from '../../src/backends/types.ts';
import { loadEngine } from '../../src/engine/load.ts';
import type { LoadEngineOptions, Progress } from '../../src/engine/types.ts';
import type { FileSet } from '../../src/io/types.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { variant } from '../wasm/host.ts';
import { generate, handle, rejects } from './drive.ts';

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const exact: LoadEngineOptions = { backend: 'reference', quantize: 'none' };
const load = (options: LoadEngineOptions = exact, backends: readonly Backend[] = [reference]) =>
  loadEngine(NANO, options, { backends });

/** Ids that come with the model: prompts, and prompts with their greedy continuation. */
const known = (name: string) => [...loadFixture('nano').expected.get(name)!.values];

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** nano with other files in place of its own; null leaves one out. */
function altered(files: Record<string, string | Uint8Array | null>): string {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-'));
  folders.push(folder);
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json', ...Object.keys(files)]) {
    const content = name in files ? files[name]! : readFileSync(join(NANO, name));
    if (content !== null) writeFileSync(join(folder, name), content);
  }
  return folder;
}

describe('how weights are loaded', () => {
  test('quantized by default', async () => {
    const engine = await load({ backend: 'reference' });
    expect(engine.info.weights).toMatchObject({ kind: 'quant', bits: 8 });
    await engine.dispose();
  });

  test('progress, from open to ready', async () => {
    const seen: Progress[] = [];
    const engine = await loadEngine(NANO, exact, {
      backends: [reference],
      onProgress: (progress) => seen.push(progress),
    });
    expect(seen[0]).toEqual({ stage: 'open', loaded: 0, total: 0, remainingMs: null });
    const { total } = seen.at(-1)!;
    expect(seen.at(-1)).toEqual({ stage: 'ready', loaded: total, total, remainingMs: 0 });
    const weights = seen.filter(({ stage }) => stage === 'weights').map(({ loaded }) => loaded);
    expect(weights).toEqual([...weights].sort((a, b) => a - b));
    expect(weights.at(-1)).toBe(total);
    await engine.dispose();
  });

  test('abort: before, and while weights are read; everything is closed again', async () => {
    const controller = new AbortController();
    let disposed = 0;
    const watched: Backend = {
      ...reference,
      async create(...args) {
        const executor = await reference.create(...args);
        const dispose = executor.dispose.bind(executor);
        executor.dispose = () => {
          disposed++;
          return dispose();
        };
        return executor;
      },
    };
    const onProgress = ({ stage }: Progress) => {
      if (stage === 'weights') controller.abort(new Error('enough'));
    };
    const context = { backends: [watched], onProgress, signal: controller.signal };
    await rejects(loadEngine(NANO, exact, context), 'ABORTED');
    expect(disposed).toBe(1);
    await rejects(loadEngine(NANO, exact, context), 'ABORTED');
    expect(disposed).toBe(1);
  });

  test('an option of nonsense is refused before any file is opened', async () => {
    const files: FileSet = {
      name: 'never',
      open: () => Promise.reject(new Error('opened')),
      list: async () => null,
    };
    await rejects(loadEngine(files, { chunk: 0 }, { backends: [] }), 'INVALID_ARGUMENT', /chunk/);
  });

  test('a tokenizer larger than the embedding: only text that needs its last ids is refused', async () => {
    const tokenizer = JSON.parse(readFileSync(join(NANO, 'tokenizer.json'), 'utf8'));
    const added_tokens = [...tokenizer.added_tokens, { id: 1024, content: '<pad>', special: true }];
    const folder = altered({ 'tokenizer.json': JSON.stringify({ ...tokenizer, added_tokens }) });
    const engine = await loadEngine(folder, exact, { backends: [reference] });
    const { tokens } = await generate(engine, null, 'Once upon', { maxTokens: 2, ignoreEos: true });
    expect(tokens).toHaveLength(2);
    await rejects(generate(engine, null, 'Once <pad>'), 'INVALID_ARGUMENT', /"<pad>", token 1024/);
    await engine.dispose();
  });

  test('without a tokenizer, everything that takes ids works', async () => {
    const engine = await loadEngine(altered({ 'tokenizer.json': null }), exact, { backends: [reference] });
    expect(engine.info.hasTokenizer).toBe(false);
    await rejects(engine.encode('x'), 'NO_TOKENIZER');
    expect(() => engine.decode([1])).toThrowError(expect.objectContaining({ code: 'NO_TOKENIZER' }));
    await rejects(engine.score('text', handle()), 'NO_TOKENIZER', /token ids instead/);
    const { tokens, text } = await generate(engine, null, [1, 2], { maxTokens: 3, logprobs: 2 });
    expect(tokens).toHaveLength(3);
    expect(text).toBe('');
    await engine.score([1, 2, 3], handle());
    await engine.dispose();
  });

  test('NaN in a weight is found by the self-test, which names it; generating says so', async () => {
    const bytes = new Uint8Array(readFileSync(join(NANO, 'model.safetensors')));
    const header = new DataView(bytes.buffer).getBigUint64(0, true);
    const table = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + Number(header))));
    const [begin] = table['backbone.layers.1.mixer.in_proj.weight'].data_offsets;
    new DataView(bytes.buffer).setUint16(8 + Number(header) + begin + 200, 0x7e00, true);
    const folder = altered({ 'model.safetensors': bytes });
    for (const [backend, quantize] of [
      [reference, 'none'],
      [reference, 'q8'],
      [reference, 'q4'],
      [variant('simd'), 'none'],
      [variant('simd'), 'q8'],
    ] as const) {
      const options = { backend: backend.name, quantize };
      const engine = await loadEngine(folder, options, { backends: [backend] });
      const report = await engine.selfTest();
      expect(report.ok).toBe(false);
      const { ok, detail } = report.checks.find(({ name }) => name === 'numbers')!;
      expect(ok).toBe(false);
      expect(detail).toMatch(/'layers\.1.*in_proj.*NaN/);
      await rejects(generate(engine, null, [1]), 'INVALID_FILE', /NaN/);
      await engine.dispose();
    }
  });

  test('golden tokens of the metadata', async () => {
    const bytes = readFileSync(join(NANO, 'model.safetensors'));
    const length = Number(bytes.readBigUInt64LE(0));
    const withMetadata = (selftest: string) => {
      const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
      const text = Buffer.from(
        JSON.stringify({ ...header, __metadata__: { ...header.__metadata__, selftest } }),
      );
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(text.length));
      return altered({ 'model.safetensors': Buffer.concat([size, text, bytes.subarray(8 + length)]) });
    };
    const prompt = known('p0.ids');
    const golden = { ids: prompt, tokens: known('p0.greedy').slice(prompt.length, prompt.length + 8) };
    const wrong = { ...golden, tokens: golden.tokens.map((id, i) => (i === 6 ? (id + 1) % 1024 : id)) };
    const folder = withMetadata(JSON.stringify([golden, wrong]));
    const engine = await loadEngine(folder, exact, { backends: [reference] });
    const { ok, checks } = await engine.selfTest();
    expect(ok).toBe(false);
    expect(checks.slice(4)).toMatchObject([
      { name: 'golden 1', ok: true },
      { name: 'golden 2', ok: false, detail: expect.stringMatching(/^token 7 is/) },
    ]);
    await engine.dispose();
    for (const text of ['{', '[1]', '{}', '[{"ids":[1],"tokens":[1024]}]', 'null'])
      await rejects(
        loadEngine(withMetadata(text), exact, { backends: [reference] }),
        'INVALID_FILE',
        /selftest/,
      );
  });
});
