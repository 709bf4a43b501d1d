import { describe, expect, test } from 'vitest';
import { Call } from '../../src/engine/core/call.ts';
import { encode } from '../../src/engine/language/prompt.ts';
import { named, parse, sentencePiece, VOCAB_SIZE } from '../tokenizer/sentencepiece.ts';
import { generate, handle, open, rejects } from './drive.ts';
import { fakeEngine } from './fake.ts';

const json = sentencePiece();
const tokenizer = parse(json);
const id = (...names: string[]) => named(json, ...names);
const [BOS, EOS] = [1, 2];

/** An engine that always says the next of `names`, and what it consumed. */
function engine(...names: string[]) {
  const { engine, executor } = fakeEngine({ vocabSize: VOCAB_SIZE, tokenizer, eos: [EOS], bos: BOS });
  const script = [...id(...names), EOS];
  let said = 0;
  executor.logits = () => {
    const logits = new Float32Array(VOCAB_SIZE);
    logits[script[said++] ?? EOS] = 9;
    return logits;
  };
  const consumed = () => executor.steps.splice(0).flatMap(({ ids }) => [...ids]);
  return { engine, consumed };
}

describe('the bos of a tokenizer', () => {
  test('begins a text that is scored, unless it is not wanted or there already', async () => {
    const { engine: e } = engine();
    const ids = async (prompt: string, options = {}) => [...(await e.score(prompt, handle(), options)).ids];
    expect(await ids('Hello')).toEqual(id('<s>', '▁Hello'));
    expect(await ids('<s>Hello')).toEqual(id('<s>', '▁Hello'));
    expect(await ids('Hello cat', { addSpecialTokens: false })).toEqual(id('▁Hello', '▁cat'));
    expect(await e.logits('Hello', null, handle())).toHaveLength(2 * VOCAB_SIZE);
    expect(await e.logits('Hello', null, handle(), { addSpecialTokens: false })).toHaveLength(VOCAB_SIZE);
    await rejects(
      e.score('x', handle(), { addSpecialTokens: 1 } as never),
      'INVALID_ARGUMENT',
      /true or false/,
    );
    await rejects(e.score('', handle()), 'INVALID_ARGUMENT', /empty/);
  });

  test('begins a generation, and stands for an empty prompt', async () => {
    const { engine: e, consumed } = engine();
    expect((await generate(e, null, 'Hello', { maxTokens: 1 })).usage.promptTokens).toBe(2);
    expect(consumed()).toEqual(id('<s>', '▁Hello'));
    await generate(e, null, 'Hello', { maxTokens: 1, addSpecialTokens: false });
    expect(consumed()).toEqual(id('▁Hello'));
    await generate(e, null, '', { maxTokens: 1 });
    expect(consumed()).toEqual(id('<s>'));
    await generate(e, null, id('▁cat'), { maxTokens: 1 });
    expect(consumed()).toEqual(id('▁cat'));
  });

  test('begins a session, not its later turns, which stand as they are; again after a reset', async () => {
    const { engine: e, consumed } = engine();
    const s = await open(e);
    for (const turn of ['Hello', ' cat', 'the']) await e.append(s, turn, handle());
    await generate(e, s, ' sat', { maxTokens: 1 });
    expect(consumed()).toEqual(id('<s>', '▁Hello', '▁cat', 't', 'h', 'e', '▁sat'));
    await e.resetSession(s);
    await e.append(s, 'Hello', handle());
    await e.rewind(s, { position: 0 }, handle());
    await e.append(s, '', handle()); // nothing, which begins nothing
    await e.append(s, 'the', handle(), { addSpecialTokens: false });
    await e.append(s, ' cat', handle());
    expect(consumed()).toEqual(id('<s>', '▁the'));
  });

  test('begins the first of the pieces of a stream', async () => {
    const { engine: e, consumed } = engine();
    const s = await open(e);
    await e.append(s, 'Hello', handle(), { continues: false });
    await e.append(s, ' cat', handle(), { continues: true });
    await e.append(s, ' sat', handle(), { continues: true });
    expect([...consumed(), ...id('▁sat')]).toEqual(id('<s>', '▁Hello', '▁cat', '▁sat'));
  });

  test('begins a context, not its continuations', async () => {
    const { engine: e, consumed } = engine();
    const scored = await e.scoreContinuations('Hello', [' cat sat'], handle());
    expect(scored.map(({ length }) => length)).toEqual([2]);
    expect(consumed()).toEqual(id('<s>', '▁Hello', '▁cat'));
  });

  test('is not put before messages', async () => {
    const { engine: e } = engine();
    const chat = { messages: [{ role: 'user', content: 'Hello' }], template: '{{ messages[0].content }}' };
    expect([...(await e.score(chat, handle())).ids]).toEqual(id('▁Hello'));
    const own = { ...chat, template: "{{ '<s>' + messages[0].content }}" };
    expect([...(await e.score(own, handle())).ids]).toEqual(id('<s>', '▁Hello'));
  });
});

describe('the text of a generation', () => {
  test('goes on from its prompt: the first space stays', async () => {
    const { engine: e } = engine('▁cat', '▁sat', '.');
    const { text, tokens } = await generate(e, null, 'Hello', { logprobs: 1 });
    expect(text).toBe(' cat sat.');
    expect(tokens.map(({ top }) => top![0]!.text)).toEqual([' cat', ' sat', '.']);
  });

  test('begins where nothing is before it', async () => {
    const { engine: e } = engine('▁Hello', '▁cat');
    expect((await generate(e, null, '')).text).toBe('Hello cat');
  });

  test('goes on from ids, and from the turn before', async () => {
    const { engine: e } = engine('▁cat', '</s>', '▁sat');
    const s = await open(e);
    expect((await generate(e, s, id('<s>', '▁the'))).text).toBe(' cat');
    expect((await generate(e, s, '')).text).toBe(' sat');
  });
});

test('a long text is encoded in pieces, between which it can be aborted', async () => {
  const text = 'the cat sat. '.repeat(5000);
  const call = new Call();
  let pieces = 0;
  const work = tokenizer.encoding(text);
  const counted = (function* () {
    for (;;) {
      const { done, value } = work.next();
      if (done) return value;
      if (++pieces === 5) call.abort();
      yield;
    }
  })();
  await rejects(encode(counted, call), 'ABORTED');
  expect(pieces).toBe(5);
});
