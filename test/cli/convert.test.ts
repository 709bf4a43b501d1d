import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { stringifyJson } from '../../src/weights/json.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';
import { type Affine, asMlxLm } from '../weights/mlx_lm_file.ts';
import { rawFixture, safetensors } from '../weights/reexport.ts';

const CLI = fileURLToPath(new URL('../../dist/node/cli.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-convert-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const edgeSsm = (...args: string[]) =>
  new Promise<{ code: unknown; out: string; err: string }>((resolve) => {
    execFile(process.execPath, [CLI, ...args], (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });

async function logits(model: string, quantize: 'q4' | 'q8' | 'none'): Promise<Float32Array> {
  const loaded = await load(model, { quantize, numerics: 'exact', threads: 1, backend: 'wasm' });
  const found = await loaded.logits([5, 6, 7]);
  await loaded.dispose();
  return found;
}

describe('edge-ssm convert', () => {
  test('quantized into our own container: as quantized when it is loaded, with all that belongs to it', async () => {
    const nano = fixtureFolder('nano');
    for (const how of ['q4', 'q8'] as const) {
      const out = join(folder, how);
      expect(await edgeSsm('convert', nano, out, '--quantize', how)).toMatchObject({ code: 0, err: '' });
      expect(readdirSync(out)).toEqual(
        expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json']),
      );
      expect(await logits(out, 'none')).toEqual(await logits(nano, how));
    }
    const size = (name: string) => readFileSync(join(folder, name, 'model.safetensors')).length;
    expect(size('q4')).toBeLessThan(size('q8'));
    const wide = join(folder, 'wide');
    await edgeSsm('convert', nano, wide, '--quantize', 'q4', '--group', '64');
    expect(size('wide')).toBeLessThan(size('q4'));
    const half = join(folder, 'half');
    await edgeSsm('convert', nano, half, '--quantize', 'f16');
    const [found, wanted] = [await logits(half, 'none'), await logits(nano, 'none')];
    const error = Math.hypot(...found.map((x, i) => x - wanted[i]!)) / Math.hypot(...wanted);
    expect(error).toBeLessThan(2e-3);
  });

  test('codes are quantized again where that is asked for, and it is told', async () => {
    const nano = fixtureFolder('nano');
    const at = (name: string) => join(folder, name);
    const [q8, q4, same] = [at('r8'), at('r4'), at('r8b')];
    await edgeSsm('convert', nano, q8, '--quantize', 'q8');
    const again = await edgeSsm('convert', q8, q4, '--quantize', 'q4');
    expect(again).toMatchObject({ code: 0, err: expect.stringMatching(/weights were quantized already/) });
    const info = async (path: string) => JSON.parse((await edgeSsm('info', path, '--json')).out).weights;
    expect(await info(q4)).toMatchObject({ kind: 'quant', bits: 4, group: 32 });
    const [wanted, found] = [await logits(nano, 'none'), await logits(q4, 'none')];
    const direct = await logits(nano, 'q4');
    const error = (values: Float32Array) => Math.hypot(...values.map((x, i) => x - wanted[i]!));
    expect(error(found)).toBeLessThan(1.2 * error(direct));
    for (const how of ['q8', 'none']) {
      expect(await edgeSsm('convert', '--model', q8, same, '--quantize', how)).toMatchObject({
        code: 0,
        err: '',
      });
      expect(readFileSync(join(same, 'model.safetensors'))).toEqual(
        readFileSync(join(q8, 'model.safetensors')),
      );
    }
    const [gguf8, gguf4] = [at('8.gguf'), at('4.gguf')];
    await edgeSsm('convert', fixtureFolder('mamba2-a'), gguf8, '--quantize', 'q8');
    expect(await edgeSsm('convert', gguf8, gguf4, '--quantize', 'q4')).toMatchObject({ code: 0 });
    expect(await info(gguf4)).toMatchObject({ kind: 'quant', bits: 4 });
  });

  test('a GGUF file without a tokenizer is told', async () => {
    const out = join(folder, 'mute.gguf');
    const from = join(folder, 'mute');
    cpSync(fixtureFolder('granite-hybrid'), from, { recursive: true });
    writeFileSync(join(from, 'generation_config.json'), JSON.stringify({ eos_token_id: [9, 7] }));
    const { code, err } = await edgeSsm('convert', from, out);
    expect(code).toBe(0);
    const model = await load(out, { backend: 'wasm' });
    expect(model.info.eosTokenIds).toEqual([9, 7]);
    await model.dispose();
    expect(err).toMatch(
      /GGUF file has no tokenizer .*no_vocab.*came without a tokenizer\.json.*token ids only/,
    );
    expect(await logits(out, 'none')).toEqual(await logits(fixtureFolder('granite-hybrid'), 'none'));
  });

  test.runIf(process.platform !== 'win32')('stopped by Ctrl-C: what was there is', async () => {
    const out = join(folder, 'fifo.gguf'); // nobody reads on: it waits in the middle
    execFileSync('mkfifo', [out]);
    const child = spawn(process.execPath, [CLI, 'convert', fixtureFolder('mamba2-a'), out], {
      stdio: 'pipe',
    });
    const reader = createReadStream(out, { highWaterMark: 1 });
    await once(reader, 'readable');
    child.kill('SIGINT');
    reader.resume();
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    const [code] = await once(child, 'close');
    expect({ code, err }).toEqual({
      code: 130,
      err: expect.stringMatching(/Stopped by Ctrl-C: .* is as it was/),
    });
  });

  test('to GGUF, and what makes no sense', async () => {
    const out = join(folder, 'a.gguf');
    const { code, out: said } = await edgeSsm('convert', fixtureFolder('mamba2-a'), out, '--json');
    expect({ code, bytes: JSON.parse(said).bytes }).toEqual({ code: 0, bytes: readFileSync(out).length });
    expect(await logits(out, 'none')).toEqual(await logits(fixtureFolder('mamba2-a'), 'none'));
    const cases = [
      [['convert', fixtureFolder('nano')], 2, /Expected a model and where to write it/],
      [['convert', fixtureFolder('nano'), out, '--quantize', 'q5'], 2, /q4, q8, f16, none/],
      [['convert', fixtureFolder('nano'), out, '--group', '48'], 2, /32, 64 or 128/],
      [['convert', fixtureFolder('nano'), out], 1, /UNSUPPORTED_MODEL/],
      [['convert', join(folder, 'nothing'), out], 1, /NOT_FOUND/],
    ] as const;
    const before = readFileSync(out);
    for (const [args, code, message] of cases)
      expect(await edgeSsm(...args)).toMatchObject({ code, err: expect.stringMatching(message) });
    expect(readFileSync(out)).toEqual(before); // a conversion that fails leaves what was there
  });
});

describe('folders of mlx-lm', () => {
  const written = async (name: string, fixture: string, affine: Affine) => {
    const model = asMlxLm(rawFixture(fixture), 'F16', affine);
    const path = join(folder, name);
    mkdirSync(path);
    writeFileSync(join(path, 'model.safetensors'), await safetensors(model.tensors, { format: 'mlx' }));
    writeFileSync(join(path, 'config.json'), stringifyJson(model.config));
    return path;
  };

  test('of 4 bits: converted into our container or GGUF, the same logits; inspected by their own names', async () => {
    for (const [fixture, out] of [
      ['falcon-h1-multipliers', 'mlx-out'],
      ['granite-hybrid', 'mlx-granite.gguf'],
      ['mamba2-a', 'mlx.gguf'],
    ] as const) {
      const err = out.endsWith('.gguf') ? expect.stringMatching(/^The GGUF file has no tokenizer.*\n$/) : '';
      const path = await written(`${fixture}-mlx`, fixture, { bits: 4, group: 32 });
      const to = join(folder, out);
      expect(await edgeSsm('convert', path, to)).toMatchObject({ code: 0, err });
      expect(await logits(to, 'none')).toEqual(await logits(path, 'none'));
    }
    expect(readFileSync(join(folder, 'mlx-out', 'config.json'), 'utf8')).not.toContain('quantization');
    const path = join(folder, 'mamba2-a-mlx');
    const { out } = await edgeSsm('inspect', path);
    expect(out).toMatch(/^config\.json: quantized by MLX, affine, 4 bits, groups of 32\n/);
    expect(out).toMatch(/backbone\.layers\.0\.mixer\.in_proj\.weight +U32/);
    const [file] = JSON.parse((await edgeSsm('inspect', path, '--json')).out);
    expect(file.quantization).toBe('MLX, affine, 4 bits, groups of 32');
    writeFileSync(join(path, 'config.json'), '{"quantization_config": {"quant_method": "gptq", "bits": 4}}');
    expect((await edgeSsm('inspect', path)).out).toMatch(
      /^config\.json: quantized by GPTQ, 4 bits, which cannot/,
    );
    expect(await edgeSsm('convert', path, join(folder, 'no'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/GPTQ, 4 bits.*UNSUPPORTED_MODEL/s),
    });
  });
});

describe('edge-ssm inspect', () => {
  test('shows tables of any file, whatever it is of', async () => {
    const nano = await edgeSsm('inspect', fixtureFolder('nano'));
    expect(nano.out).toMatch(/model\.safetensors: safetensors, .* tensors of/);
    expect(nano.out).toMatch(/backbone\.embedding\S* +\S+ +\[\d+, \d+\] +[\d.]+ KiB/);
    const gguf = join(folder, 'b.gguf');
    await edgeSsm('convert', fixtureFolder('mamba2-a'), gguf);
    const [found] = JSON.parse((await edgeSsm('inspect', gguf, '--json')).out);
    expect(found).toMatchObject({ container: 'gguf', metadata: { 'general.architecture': 'mamba2' } });
    expect(found.tensors).toContainEqual(
      expect.objectContaining({ name: 'token_embd.weight', dtype: 'F32' }),
    );
    const junk = join(folder, 'junk.gguf');
    writeFileSync(junk, 'GGUF but nothing else');
    expect(await edgeSsm('inspect', junk)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/INVALID_FILE|UNSUPPORTED_MODEL/),
    });
    expect(await edgeSsm('inspect', folder)).toMatchObject({ code: 1 });
    expect(await edgeSsm('inspect', join(folder, 'q4x'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/NOT_FOUND/),
    });
  });
});
