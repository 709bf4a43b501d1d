import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { type ChatMessage, load } from '../../src/index.ts';
import { CHATML, FALCON } from '../tokenizer/templates.ts';

const CLI = fileURLToPath(new URL('../../dist/node/cli.js', import.meta.url));
const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-chat-'));
afterAll(() => rmSync(folder, { recursive: true }));
const model = join(folder, 'model');
cpSync(NANO, model, { recursive: true });
writeFileSync(join(model, 'chat_template.jinja'), CHATML);

/** What `edge-ssm chat` answers to lines: replies as JSON, and its errors. */
function chat(
  lines: string[],
  ...args: string[]
): Promise<{ replies: { text: string }[]; err: string; code: unknown }> {
  return new Promise((resolve) => {
    const options = ['--max-tokens', '6', '--ignore-eos', '--json'];
    const child = execFile(process.execPath, [CLI, 'chat', ...options, ...args], (error, out, err) => {
      const replies = out.split('\n').filter((line) => line !== '');
      resolve({ replies: replies.map((line) => JSON.parse(line)), err, code: error?.code ?? 0 });
    });
    child.stdin!.end(`${lines.join('\n')}\n`);
  });
}

const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });

test('edge-ssm chat speaks in messages where the model has a template', async () => {
  const file = join(folder, 'talk.json');
  const lines = [
    'Hello',
    'And then?',
    `/save ${file}`,
    '/undo',
    'And then?',
    '/retry',
    '/fork',
    'Why?',
    '/back',
    'Why?',
  ];
  const later = [
    '/reset',
    'Hello',
    `/load ${file}`,
    'Why?',
    '/load nothing',
    `/load ${join(model, 'config.json')}`,
  ];
  const { replies, err, code } = await chat([...lines, ...later], '--model', model, '--system', 'Be brief.');
  expect(code).toBe(0);
  const [first, second, again, retried, forked, back, reset, loaded] = replies.map(({ text }) => text);
  await using library = await load(model);
  const reply = async (...messages: ChatMessage[]) => {
    const whole = [{ role: 'system', content: 'Be brief.' }, ...messages];
    return (await library.generate({ messages: whole }, { maxTokens: 6, ignoreEos: true }).result()).text;
  };
  expect(first).toBe(await reply(user('Hello')));
  const talk = [user('Hello'), assistant(first!), user('And then?')];
  expect(second).toBe(await reply(...talk));
  expect([again, retried]).toEqual([second, second]);
  expect(forked).toBe(await reply(...talk, assistant(second!), user('Why?')));
  expect([back, loaded]).toEqual([forked, forked]);
  expect(reset).toBe(first);
  expect(replies).toHaveLength(8);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveLength(5);
  expect(err).toMatch(/'nothing'|nothing/);
  expect(err).toMatch(/config\.json: expected the messages/);
});

test('edge-ssm convert takes the template along', async () => {
  const out = join(folder, 'converted');
  execFileSync(process.execPath, [CLI, 'convert', model, out, '--quantize', 'q8']);
  await using library = await load(out);
  expect(await library.applyChatTemplate([user('Hi')])).toBe('<|im_start|>user\nHi<|im_end|>\n');
});

test('--raw goes without; what the template refuses is said, and the talk goes on', async () => {
  await using library = await load(model);
  const { text } = await library.generate('Hello', { maxTokens: 6, ignoreEos: true }).result();
  expect((await chat(['Hello'], '--model', model, '--raw')).replies[0]!.text).toBe(text);
  writeFileSync(join(folder, 'falcon.jinja'), FALCON);
  cpSync(join(folder, 'falcon.jinja'), join(model, 'chat_template.jinja'));
  const { err, code, replies } = await chat(['Hello', '/undo'], '--model', model, '--system', 'Be brief.');
  expect({ code, replies }).toEqual({ code: 0, replies: [] });
  expect(err).toMatch(/edge-ssm: The chat template .*refuses: Roles must alternate/);
  expect(err).toMatch(/no turn to take back/);
});

test.each([
  [['--model', NANO, '--system', 'x'], /--system needs a model with a chat template/],
  [['--model', model, '--system', 'x', '--raw'], /with --raw/],
])('%j is refused', async (args, message) => {
  const { err, code } = await chat([], ...args);
  expect({ code, said: message.test(err) }).toEqual({ code: 2, said: true });
});
