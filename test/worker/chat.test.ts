import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { CHATML } from '../tokenizer/templates.ts';
import { loadNano, NANO } from './models.ts';

/** The small model with a chat template of its own. */
const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-chat-'));
afterAll(() => rmSync(folder, { recursive: true }));
cpSync(NANO, folder, { recursive: true });
writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ chat_template: CHATML }));

const messages = [{ role: 'user', content: 'Once upon a time' }];
const RENDERED = '<|im_start|>user\nOnce upon a time<|im_end|>\n';
const OPTIONS = { maxTokens: 12, ignoreEos: true };

describe.each([true, false])('messages, worker: %s', (worker) => {
  test('are rendered, generated from, scored', async () => {
    await using model = await load(folder, { threads: 1, worker });
    expect(model.info.hasChatTemplate).toBe(true);
    expect(await model.applyChatTemplate(messages)).toBe(RENDERED);
    const prompt = await model.applyChatTemplate(messages, { addGenerationPrompt: true });
    expect(prompt).toBe(`${RENDERED}<|im_start|>assistant\n`);
    const { text } = await model.generate({ messages }, OPTIONS).result();
    expect(text).toBe((await model.generate(prompt, OPTIONS).result()).text);
    expect(await model.score({ messages })).toEqual(await model.score(RENDERED));
    expect(await model.logits({ messages }, { last: 1 })).toEqual(await model.logits(RENDERED, { last: 1 }));
  });

  test('in a session: what it holds already is not run again, what was saved goes on', async () => {
    await using model = await load(folder, { threads: 1, worker, numerics: 'i8' });
    const session = await model.session();
    const { text } = await session.generate({ messages }, OPTIONS).result();
    const talk = [...messages, { role: 'assistant', content: text }, { role: 'user', content: 'And then?' }];
    const alone = await model.generate({ messages: talk }, OPTIONS).result();
    const saved = await session.save();
    expect((await session.generate({ messages: talk }, OPTIONS).result()).tokens).toEqual(alone.tokens);
    const restored = await model.restore(saved); // its ids are not known: the whole is run
    expect((await restored.generate({ messages: talk }, OPTIONS).result()).tokens).toEqual(alone.tokens);
    const whole = await model.tokenizer.encode(await model.applyChatTemplate(talk));
    expect(await session.append({ messages: talk })).toBe(whole.length - 1);
  });
});

test('a model without a template says what to do; errors cross the boundary', async () => {
  const model = await loadNano();
  expect(model.info.hasChatTemplate).toBe(false);
  const refused = (code: string, message: RegExp) =>
    expect.objectContaining({ name: 'EdgeError', code, message: expect.stringMatching(message) });
  await expect(model.applyChatTemplate(messages)).rejects.toEqual(refused('NO_CHAT_TEMPLATE', /`template`/));
  await expect(model.generate({ messages }).result()).rejects.toEqual(refused('NO_CHAT_TEMPLATE', /./));
  expect(await model.applyChatTemplate(messages, { template: CHATML })).toBe(RENDERED);
  const raises = { template: "{{ raise_exception('Not so.') }}" };
  await expect(model.applyChatTemplate(messages, raises)).rejects.toEqual(
    refused('INVALID_ARGUMENT', /Not so/),
  );
  const functions = { variables: { f: () => 1 } };
  await expect(model.applyChatTemplate(messages, functions)).rejects.toEqual(
    refused('INVALID_ARGUMENT', /sent/),
  );
});

test('a model without a tokenizer takes ids', async () => {
  const files = ['config.json', 'model.safetensors'].map(
    (name) => new File([readFileSync(join(NANO, name))], name),
  );
  const model = await load(files, { threads: 1, worker: false });
  await expect(model.generate({ messages }).result()).rejects.toMatchObject({ code: 'NO_TOKENIZER' });
  await model.dispose();
});
