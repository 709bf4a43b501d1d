import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openFileSet } from '../../src/io/fileset.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { files, json, simpleSafetensors } from './files.ts';

const weights = simpleSafetensors({ a: { dtype: 'F32', shape: [2, 3] } });
const config = json({ model_type: 'test' });

test('the template of a processor, where there is no other', async () => {
  const older = await openCheckpoint(
    files({
      'model.safetensors': weights,
      'config.json': config,
      'chat_template.json': json({ chat_template: 'p' }),
    }),
  );
  expect(older.tokenizerConfig).toEqual({ chat_template: 'p' });
});

test('templates beside the default one, in a folder or among chosen files', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-templates-'));
  const text = (name: string, content: string | Uint8Array) => writeFileSync(join(folder, name), content);
  mkdirSync(join(folder, 'additional_chat_templates'));
  text('model.safetensors', weights);
  text('config.json', config);
  text('chat_template.jinja', 'plain');
  text('additional_chat_templates/tool_use.jinja', 'with tools');
  const inFolder = await openCheckpoint(await openFileSet(folder));
  await inFolder.close();
  rmSync(folder, { recursive: true });
  const chat_template = [
    { name: 'tool_use', template: 'with tools' },
    { name: 'default', template: 'plain' },
  ];
  expect(inFolder.tokenizerConfig).toEqual({ chat_template });
  const bytes = (content: string) => new TextEncoder().encode(content);
  const chosen = await openCheckpoint(
    files({
      'model.safetensors': weights,
      'config.json': config,
      'tool_use.jinja': bytes('with tools'),
      'tokenizer_config.json': json({ chat_template: 'plain' }),
    }),
  );
  expect(chosen.tokenizerConfig).toEqual({ chat_template });
});
