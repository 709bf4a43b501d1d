import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';

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
