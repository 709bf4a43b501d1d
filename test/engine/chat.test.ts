import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import type { ModelInfo } from '../../src/engine/types.ts';
import type { Program } from '../../src/ops/program.ts';
import { type Chat, type ChatMessage, parseTokenizer } from '../../src/tokenizer/index.ts';
import { Random } from '../helpers/random.ts';
import { CHATML, FALCON } from '../tokenizer/templates.ts';
import { generate, handle, ids, open, rejects, take } from './drive.ts';
import { FakeExecutor, toyInfo } from './fake.ts';

const file = readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8');
const special = ['<|im_start|>', '<|im_end|>', '<s>'].map((content, i) => ({
  id: 1024 + i,
  content,
  special: true,
  ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
}));
const json = JSON.parse(file);
const nano = JSON.stringify({ ...json, added_tokens: [...json.added_tokens, ...special] });
const vocabSize = 1027;

function chatEngine(chat_template: string | null, facts: Partial<ModelInfo> = {}) {
  const tokenizer = parseTokenizer(
    { name: 'of a test', tokenizer: nano, config: { chat_template, bos_token: '<s>' } },
    vocabSize,
  );
  const program: Program = {
    ...{
      buffers: {},
      weights: {},
      states: { h: { shape: [2], layout: 'dense' } },
      calls: [],
      vocabSize,
      chunk: 8,
    },
    maxContext: Number.POSITIVE_INFINITY,
  };
  const executor = new FakeExecutor(program, 3 + 1);
  const info = toyInfo({ vocabSize, ...facts });
  const rows = () => executor.steps.splice(0).reduce((sum, step) => sum + step.ids.length, 0);
  return { engine: new Engine({ executor, program, tokenizer, info }), tokenizer, rows };
}

const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });
const OPTIONS = { maxTokens: 5 };

describe('a conversation as a prompt', () => {
  test('usage tells which of its tokens needed no prefill', async () => {
    const { engine, rows } = chatEngine(FALCON, { checkpointBytes: 4096, checkpointEvery: 16 });
    const session = await open(engine);
    const ask = async (messages: ChatMessage[]) => {
      rows();
      const { usage } = await generate(engine, session, { messages }, { maxTokens: 1 });
      const run = rows();
      expect(run).toBeGreaterThanOrEqual(usage.promptTokens - usage.cachedTokens);
      expect(run).toBeLessThan(usage.promptTokens - usage.cachedTokens + 16); // from a checkpoint to where they part
      return usage.cachedTokens;
    };
    const first = [user('Once upon a time'), assistant('there was a fox.')];
    expect(await ask([...first, user('And then?')])).toBe(0);
    const cached = await ask([...first, user('And then?'), assistant('It slept.'), user('Why?')]);
    expect(cached).toBeGreaterThan(5);
    expect(await ask([...first, user('Where?')])).toBeLessThan(cached);
    expect(await ask([user('Never mind')])).toBeLessThan(5);
  });

  test('is what its template writes, special tokens as such, and no bos but the template’s', async () => {
    const { engine, tokenizer } = chatEngine(FALCON);
    const chat: Chat = { messages: [user('Once upon a time')] };
    expect(engine.render(chat)).toBe('<s>User: Once upon a time\n\n');
    const prompt = tokenizer.encode('<s>User: Once upon a time\n\nFalcon:');
    expect(prompt.filter((id) => id === 1026)).toHaveLength(1);
    const { tokens, usage } = await generate(engine, null, chat, OPTIONS);
    expect(tokens).toEqual((await generate(engine, null, prompt, OPTIONS)).tokens);
    expect(usage.promptTokens).toBe(prompt.length);
    const { ids: scored } = await engine.score(chat, handle());
    expect(scored).toEqual(tokenizer.encode('<s>User: Once upon a time\n\n'));
    const { tokens: plain } = await generate(engine, null, { ...chat, addGenerationPrompt: false }, OPTIONS);
    expect(plain).toEqual((await generate(engine, null, scored, OPTIONS)).tokens);
  });

  test('needs a template and a tokenizer', async () => {
    const chat = { messages: [user('Hi')] };
    const none = chatEngine(null).engine;
    await rejects(generate(none, null, chat), 'NO_CHAT_TEMPLATE', /as `template`/);
    expect((await generate(none, null, { ...chat, template: CHATML }, OPTIONS)).tokens).toHaveLength(5);
    const session = await open(none);
    await rejects(none.append(session, chat, handle()), 'NO_CHAT_TEMPLATE');
    await rejects(
      generate(chatEngine(FALCON).engine, null, { messages: [assistant('x')] }),
      'INVALID_ARGUMENT',
      /alternate/,
    );
  });
});

/** The reply of a session is that of a model that never saw anything else. */
async function expectReply(engine: Engine, session: number, chat: Chat): Promise<string> {
  const reply = await generate(engine, session, chat, OPTIONS);
  expect(ids(reply.tokens)).toEqual(ids((await generate(engine, null, chat, OPTIONS)).tokens));
  return reply.text;
}

describe('a conversation in a session', () => {
  test('only what is new is consumed, as long as each turn extends the one before', async () => {
    const { engine, tokenizer, rows } = chatEngine(CHATML);
    const session = await open(engine);
    const messages = [user('Once upon a time'), assistant(' there was a cat.')];
    await engine.append(session, { messages }, handle());
    rows();
    messages.push(user('And then?'));
    await engine.append(session, { messages }, handle());
    const added = tokenizer.encode('<|im_start|>user\nAnd then?<|im_end|>\n').length;
    expect(rows()).toBe(added); // the last one is pending now, the one of before is not
    expect(engine.position(session)).toBe(tokenizer.encode(engine.render({ messages })).length - 1);
    await engine.append(session, { messages }, handle());
    expect(rows()).toBe(0);
  });

  test('another past, a shorter one, the same again, none of it known: as if from the beginning', async () => {
    const { engine } = chatEngine(CHATML);
    const session = await open(engine);
    const talk = [user('Hello there, little dog.'), assistant('Woof!'), user('Who is that?')];
    await expectReply(engine, session, { messages: talk });
    await expectReply(engine, session, { messages: talk });
    await expectReply(engine, session, { messages: talk.slice(0, 1) });
    await expectReply(engine, session, { messages: [talk[0]!, assistant('Meow!'), talk[2]!] });
    await expectReply(engine, session, { messages: [user('Other words')] });
    await engine.append(session, 'and text between', handle());
    await expectReply(engine, session, { messages: talk });
    await expectReply(engine, session, { messages: talk, template: FALCON });
    await engine.resetSession(session);
    await expectReply(engine, session, { messages: talk, template: '{# nothing #}' });
  });

  test.each([
    ['in full', {}],
    ['beyond what is remembered', { maxHistory: 40 }],
    ['with checkpoints', { checkpointBytes: 4096, checkpointEvery: 16 }],
    ['with a prefix cache', { cacheBytes: 4096 }],
  ])('edited at random, %s', async (_, facts) => {
    const { engine } = chatEngine(CHATML, facts);
    const random = new Random(7);
    const session = await open(engine);
    let messages: ChatMessage[] = [];
    for (let turn = 0; turn < 25; turn++) {
      if (random.below(4) === 0) messages = messages.slice(0, 2 * random.below(messages.length / 2 + 1));
      messages.push(user(`Turn ${turn}: ${'so '.repeat(random.below(10))}?`));
      const reply = await expectReply(engine, session, { messages });
      messages.push(assistant(random.below(4) === 0 ? reply.trim() : reply));
    }
  });

  test('left or stopped anywhere, the next turn is right', async () => {
    const { engine } = chatEngine(CHATML);
    const session = await open(engine);
    const messages = [user('One day the sun was hot and the sea was blue.')];
    const reply = await take(engine, session, { messages }, 3, { maxTokens: 9 });
    messages.push(assistant(reply.map(({ text }) => text).join('')), user('More.'));
    const generation = handle();
    await engine.startGeneration(generation, session, { messages }, OPTIONS);
    const burst = engine.nextBurst(generation);
    engine.abort(generation);
    expect((await burst).end?.finishReason).toBe('aborted');
    await expectReply(engine, session, { messages });
  });

  test('a fork has the same past', async () => {
    const { engine, rows } = chatEngine(CHATML);
    const session = await open(engine);
    const fork = handle();
    const messages = [user('Hello there.'), assistant('Hi.')];
    await engine.append(session, { messages }, handle());
    await engine.forkSession(session, fork);
    rows();
    await engine.append(fork, { messages: [...messages, user('A.')] }, handle());
    expect(rows()).toBeLessThan(12);
    await expectReply(engine, fork, { messages: [...messages, user('A.')] });
    await expectReply(engine, session, { messages: [...messages, user('B.')] });
  });
});
