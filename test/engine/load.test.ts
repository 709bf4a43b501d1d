import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend } from '../../src/backends/types.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { describe as describeModel, loadEngine } from '../../src/engine/load.ts';
import type { EngineOptions, Progress } from '../../src/engine/types.ts';
import { EdgeError } from '../../src/errors.ts';
import type { FileSet } from '../../src/io/types.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { generate, handle, ids, open, rejects } from './drive.ts';

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const exact: EngineOptions = { backend: 'reference', quantize: 'none' };
const load = (options: EngineOptions = exact, backends: readonly Backend[] = [reference]) =>
  loadEngine(NANO, options, { backends });

/** A backend by another name, which can't do something. */
const backend = (name: 'metal' | 'webgpu' | 'wasm', changes: Partial<Backend> = {}): Backend => ({
  ...reference,
  name,
  ...changes,
});

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

describe('nano', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await load();
  });
  afterAll(() => engine.dispose());

  test('says what it is', () => {
    expect(engine.info).toMatchObject({
      architecture: 'rene',
      backend: 'reference',
      why: 'asked for by a test; asked for',
      numerics: 'exact',
      weights: { kind: 'float', dtype: 'f16' },
      vocabSize: 1024,
      dModel: 96,
      nLayer: 6,
      maxSessions: 4,
      maxContext: Number.POSITIVE_INFINITY,
      chunk: 64,
      bosTokenId: 0,
      eosTokenIds: [0],
      hasTokenizer: true,
    });
    const { info } = engine;
    expect(info.parameters).toBeGreaterThan(400_000);
    expect(info.fingerprint).toMatch(/^[0-9a-f]{32}$/);
    expect(info.stateBytes).toBe(info.slotBytes * 5); // four sessions and a shadow
    expect(info.totalBytes).toBe(info.weightBytes + info.stateBytes + info.scratchBytes);
  });

  test('the tokens of the model, whatever the sessions and chunks', async () => {
    const prompt = known('p2.ids');
    const tokens = known('p2.greedy').slice(prompt.length, prompt.length + 24);
    const alone = await generate(engine, null, prompt, { maxTokens: 24, ignoreEos: true });
    expect(ids(alone.tokens)).toEqual(tokens);
    const s = await open(engine);
    for (const id of prompt) await engine.append(s, [id], handle());
    const pieces = await Promise.all([
      generate(engine, s, '', { maxTokens: 24, ignoreEos: true }),
      generate(engine, null, 'The cat', { maxTokens: 24 }),
    ]);
    expect(ids(pieces[0].tokens)).toEqual(tokens);
    await engine.closeSession(s);
  });

  test('text in, text out', async () => {
    const result = await generate(engine, null, 'Once upon a time', { maxTokens: 30 });
    expect(result.text).toBe(engine.decode(ids(result.tokens)));
    expect(result.text).toMatch(/^[ ,]/);
    const sentence = result.text.slice(0, result.text.indexOf('.'));
    const stopped = await generate(engine, null, 'Once upon a time', { maxTokens: 30, stop: '.' });
    expect(stopped).toMatchObject({ text: sentence, finishReason: 'stop', stop: '.' });
  });

  test('score agrees with the logits', async () => {
    const text = 'Once upon a time there was a little cat. She liked to play.';
    const tokens = engine.encode(text);
    const score = await engine.score(text, handle());
    const logits = await engine.logits(tokens, tokens.length, handle());
    expect(score.ids).toEqual(tokens);
    expect(score.logprobs[0]).toBeNaN();
    let total = 0;
    for (let i = 1; i < tokens.length; i++) {
      const row = logits.subarray((i - 1) * 1024, i * 1024);
      const logprob = logSoftmax(row)[tokens[i]!]!;
      expect(score.logprobs[i]).toBeCloseTo(logprob, 4);
      total += logprob;
    }
    expect(score.total).toBeCloseTo(total, 3);
    expect(score.perplexity).toBeCloseTo(Math.exp(-total / (tokens.length - 1)), 3);
    const last = await engine.logits(tokens, 2, handle());
    expect(last).toEqual(logits.slice(-2 * 1024));
  });

  test('what can be asked of logits and score', async () => {
    await rejects(engine.logits([], 1, handle()), 'INVALID_ARGUMENT', /empty/);
    await rejects(engine.score('', handle()), 'INVALID_ARGUMENT', /empty/);
    for (const last of [0, 4, -1, 0.5, Number.NaN])
      await rejects(
        engine.logits([1, 2, 3], last, handle()),
        'INVALID_ARGUMENT',
        /1 to the number of tokens, 3/,
      );
    await rejects(engine.logits([1, 1024], 1, handle()), 'INVALID_ARGUMENT', /0 to 1023, found 1024/);
    const many = new Int32Array(300_000);
    await rejects(
      engine.logits(many, 300_000, handle()),
      'OUT_OF_MEMORY',
      /1228800000 bytes.*at most 262144 rows/,
    );
    expect((await engine.score([5], handle())).total).toBe(0);
  });

  test('log-probabilities sum to 1 over the vocabulary', async () => {
    const logits = await engine.logits([1, 2, 3], 1, handle());
    const expected = logSoftmax(logits);
    expect(expected.reduce((sum, l) => sum + Math.exp(l), 0)).toBeCloseTo(1, 5);
    const { tokens } = await generate(engine, null, [1, 2, 3], { maxTokens: 1, logprobs: 20 });
    expect(tokens[0]!.logprob).toBeCloseTo(expected[tokens[0]!.id]!, 5);
    const best = [...expected.keys()].sort((a, b) => expected[b]! - expected[a]! || a - b).slice(0, 20);
    expect(tokens[0]!.top!.map(({ id }) => id)).toEqual(best);
    for (const { id, logprob } of tokens[0]!.top!) expect(logprob).toBeCloseTo(expected[id]!, 5);
  });

  test('tests itself', async () => {
    const report = await engine.selfTest();
    expect(report).toMatchObject({ ok: true });
    expect(report.checks.map(({ name }) => name)).toEqual(['ops', 'numbers', 'prefill']);
  });
});

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
    expect(seen[0]).toEqual({ stage: 'open', loaded: 0, total: 0 });
    const { total } = seen.at(-1)!;
    expect(seen.at(-1)).toEqual({ stage: 'ready', loaded: total, total });
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

  test('a tokenizer of another model', async () => {
    const { model, ...rest } = JSON.parse(readFileSync(join(NANO, 'tokenizer.json'), 'utf8'));
    const larger = { ...rest, model: { ...model, vocab: { ...model.vocab, ZZZ: 1024 } } };
    const folder = altered({ 'tokenizer.json': JSON.stringify(larger) });
    await rejects(
      loadEngine(folder, exact, { backends: [reference] }),
      'INVALID_FILE',
      /up to 1024.*has 1024/,
    );
  });

  test('without a tokenizer, everything that takes ids works', async () => {
    const engine = await loadEngine(altered({ 'tokenizer.json': null }), exact, { backends: [reference] });
    expect(engine.info.hasTokenizer).toBe(false);
    expect(() => engine.encode('x')).toThrowError(expect.objectContaining({ code: 'NO_TOKENIZER' }));
    expect(() => engine.decode([1])).toThrowError(expect.objectContaining({ code: 'NO_TOKENIZER' }));
    await rejects(engine.score('text', handle()), 'NO_TOKENIZER', /token ids instead/);
    const { tokens, text } = await generate(engine, null, [1, 2], { maxTokens: 3, logprobs: 2 });
    expect(tokens).toHaveLength(3);
    expect(text).toBe('');
    await engine.score([1, 2, 3], handle());
    await engine.dispose();
  });

  test('an eos of generation_config.json goes first, and must exist', async () => {
    const config = (eos: number) =>
      altered({ 'generation_config.json': JSON.stringify({ eos_token_id: [eos, 7] }) });
    const engine = await loadEngine(config(5), exact, { backends: [reference] });
    expect(engine.info.eosTokenIds).toEqual([5, 7]);
    await engine.dispose();
    await rejects(
      loadEngine(config(1024), exact, { backends: [reference] }),
      'INVALID_FILE',
      /eos token is 1024/,
    );
  });

  test('NaN in a weight is found by the self-test, which names it; generating says so', async () => {
    const bytes = new Uint8Array(readFileSync(join(NANO, 'model.safetensors')));
    const header = new DataView(bytes.buffer).getBigUint64(0, true);
    const table = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + Number(header))));
    const [begin] = table['backbone.layers.1.mixer.in_proj.weight'].data_offsets;
    new DataView(bytes.buffer).setUint16(8 + Number(header) + begin + 200, 0x7e00, true);
    const folder = altered({ 'model.safetensors': bytes });
    for (const quantize of ['none', 'q8', 'q4'] as const) {
      const engine = await loadEngine(folder, { backend: 'reference', quantize }, { backends: [reference] });
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
    expect(checks.slice(3)).toMatchObject([
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

describe('which backend', () => {
  const auto: EngineOptions = { quantize: 'none' };

  test('the first that works, and why not the others', async () => {
    const engine = await load(auto, [
      backend('wasm'),
      backend('metal', { unavailable: async () => 'this is no Mac' }),
      backend('webgpu', {
        async create(...args) {
          const executor = await reference.create(...args);
          const step = executor.step.bind(executor);
          executor.step = async (what) => {
            const results = await step(what);
            for (const { logits } of results) if (logits) logits[3] = logits[3]! + 1;
            return results;
          };
          return executor;
        },
      }),
    ]);
    expect(engine.info.backend).toBe('wasm');
    expect(engine.info.why).toMatch(
      /not metal: this is no Mac; webgpu: its self-test failed: relative error/,
    );
    await engine.dispose();
  });

  test('one that has no room makes way for the next', async () => {
    const full = backend('webgpu', {
      create: async (program, formats, options) => {
        if (program.vocabSize === 1024) throw new EdgeError('OUT_OF_MEMORY', 'too small a device');
        return reference.create(program, formats, options);
      },
    });
    const engine = await load(auto, [full, backend('wasm')]);
    expect(engine.info).toMatchObject({
      backend: 'wasm',
      why: expect.stringMatching(/webgpu: too small a device/),
    });
    await engine.dispose();
    await rejects(load(auto, [full]), 'OUT_OF_MEMORY', /too small/);
    await rejects(load({ ...exact, memoryBudget: 1000 }), 'OUT_OF_MEMORY', /budget/);
  });

  test('one that is asked for and not there', async () => {
    await rejects(
      load({ backend: 'metal' }, [backend('wasm')]),
      'UNSUPPORTED_BACKEND',
      /'metal'.*not part of this build; here there is wasm/,
    );
    const none = backend('webgpu', { unavailable: async () => 'no adapter' });
    await rejects(load({ backend: 'webgpu' }, [none]), 'UNSUPPORTED_BACKEND', /no adapter/);
    await rejects(load({}, [none]), 'UNSUPPORTED_BACKEND', /webgpu: no adapter; wasm: it is not part/);
  });
});

describe('before anything is loaded', () => {
  test('the memory contract is the one that load keeps', async () => {
    const engine = await load();
    const description = await describeModel(NANO, exact, {
      backends: [{ ...reference, create: () => Promise.reject(new Error('created')) }],
    });
    const { variant, device, threads, fingerprint, why, ...info } = engine.info;
    expect(description).toEqual({ ...info, why: 'asked for' });
    await engine.dispose();
  });
});

function logSoftmax(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, l) => total + Math.exp(l - max), 0);
  return Float64Array.from(logits, (l) => l - max - Math.log(sum));
}
