import { describe, expect, test } from 'vitest';
import { openFileSet } from '../../src/io/fileset.ts';
import { hubHint } from '../../src/io/hub.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { inspectFile } from '../../src/weights/inspect.ts';
import { expectError, files, json, simpleSafetensors, source } from './files.ts';

const text = (content: string) => new TextEncoder().encode(content);
const POINTER = text(
  'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 2690346\n',
);
const PAGES = [
  '<!doctype html>\n<html><title>Sign in</title>',
  '\n<!DOCTYPE html>',
  '<html lang="en">',
  '<?xml version="1.0"?><Error>',
];
const GOOD = {
  'model.safetensors': simpleSafetensors({ a: { dtype: 'F32', shape: [2, 3] } }),
  'config.json': json({ model_type: 'x' }),
};

describe('what was saved in place of a file', () => {
  const names = [
    'model.safetensors',
    'config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'generation_config.json',
    'chat_template.jinja',
  ];
  test.each(names)('%s: a Git LFS pointer, a web page', async (name) => {
    const open = (content: Uint8Array) => () => openCheckpoint(files({ ...GOOD, [name]: content }));
    await expectError(
      open(POINTER),
      'INVALID_FILE',
      name,
      /Git LFS pointer to a file of 2690346 bytes/,
      /git lfs pull/,
    );
    for (const page of PAGES)
      await expectError(open(text(page)), 'INVALID_FILE', name, /web page/, /resolve/);
  });

  test.each(['pytorch_model.bin', 'model.gguf', 'a.safetensors'])(
    'weights by the name of %s',
    async (name) => {
      const open = (content: Uint8Array) => () =>
        openCheckpoint(files({ 'config.json': GOOD['config.json'], [name]: content }));
      await expectError(open(POINTER), 'INVALID_FILE', name, /Git LFS pointer/);
      await expectError(open(text(PAGES[0]!)), 'INVALID_FILE', name, /web page/);
    },
  );

  test('a shard, and its index', async () => {
    const index = json({ weight_map: { a: 'model-1.safetensors' } });
    const shards = {
      'config.json': GOOD['config.json'],
      'model.safetensors.index.json': index,
      'model-1.safetensors': POINTER,
    };
    await expectError(
      () => openCheckpoint(files(shards)),
      'INVALID_FILE',
      /model-1\.safetensors.*Git LFS pointer/,
    );
    const page = { ...shards, 'model.safetensors.index.json': text(PAGES[0]!) };
    await expectError(() => openCheckpoint(files(page)), 'INVALID_FILE', /index\.json.*web page/);
  });

  test('is also said where a file is inspected', async () => {
    await expectError(() => inspectFile(source(POINTER)), 'INVALID_FILE', /Git LFS pointer/);
  });
});

describe('a model of the hub, named as a path', () => {
  test.each(['state-spaces/mamba2-130m', 'org/name', 'a/b.c'])('%s: how it is named here', async (path) => {
    await expectError(() => openFileSet(path), 'NOT_FOUND', `'hf:${path}'`);
  });

  test.each(['./org/name', '/org/name', 'name', 'a/b/c', '../x', 'org/', 'org\\name'])(
    '%s could not be one',
    (path) => {
      expect(hubHint(path)).toBe('');
    },
  );

  test('where nothing was found at a URL, how models of the hub are named', async () => {
    await expectError(() => openCheckpoint(files({})), 'NOT_FOUND', /'hf:organization\/name'/);
  });
});
