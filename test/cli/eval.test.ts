import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Model } from '../../src/api/model.ts';
import { readTask } from '../../src/cli/eval_files.ts';
import { Journal, runTask } from '../../src/cli/eval_run.ts';
import { TASKS } from '../../src/cli/eval_tasks.ts';
import { bitsPerByte } from '../../src/cli/eval_text.ts';
import { load } from '../../src/index.ts';
import { NANO } from '../worker/models.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-eval-'));
const copa = TASKS.find(({ name }) => name === 'copa')!;
const winogrande = TASKS.find(({ name }) => name === 'winogrande')!;
const PREMISES = [
  'The girl ran home.',
  'The dog barked.',
  'Tom ate the cake.',
  'It was late.',
  'The cup fell.',
];
const lines = PREMISES.map((premise, i) => ({
  premise,
  choice1: 'She was happy and wanted to play.',
  choice2: 'The bird sang.',
  question: i % 2 ? 'effect' : 'cause',
  label: i % 2,
}));
const quiet = { batch: 3, onProgress: () => {}, signal: new AbortController().signal };
let model: Model;
let small: Model;

beforeAll(async () => {
  writeFileSync(
    join(folder, 'copa.jsonl.gz'),
    gzipSync(lines.map((line) => JSON.stringify(line)).join('\n')),
  );
  const sentence = 'Tim saw a dog and _ ran away.';
  const row = { sentence, option1: 'Tim', option2: 'the dog', answer: '2' };
  writeFileSync(join(folder, 'winogrande_xl.jsonl'), `${JSON.stringify(row)}\n\n`);
  model = await load(NANO, { threads: 1, maxSessions: 6 });
  small = await load(NANO, { threads: 1, maxSessions: 1 });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await Promise.all([model.dispose(), small.dispose()]);
});

/** Straight from the logits of context and continuation together. */
async function independent(context: string, continuation: string): Promise<number> {
  const before = await model.tokenizer.encode(context);
  const whole = await model.tokenizer.encode(context + continuation);
  const ids = [...before, ...whole.slice(before.length)];
  const { vocabSize } = model.info;
  const logits = await model.logits(ids);
  let sum = 0;
  for (let i = before.length; i < ids.length; i++) {
    const row = Float64Array.from(logits.subarray((i - 1) * vocabSize, i * vocabSize));
    const max = row.reduce((a, b) => Math.max(a, b));
    sum += row[ids[i]!]! - max - Math.log(row.reduce((total, value) => total + Math.exp(value - max), 0));
  }
  return sum;
}

describe('tasks', () => {
  test.each([copa, winogrande])('log-likelihoods of $name are those of the logits, to 1e-4', async (task) => {
    const examples = await readTask(folder, task, 100);
    const journal = await Journal.open(null, {});
    await runTask(model, task.name, examples, journal, quiet);
    for (const [i, { choices }] of examples.entries())
      for (const [k, { context, continuation }] of choices.entries())
        expect(journal.get(task.name, i)!.logLikelihoods[k]).toBeCloseTo(
          await independent(context, continuation),
          4,
        );
  });

  test('one at a time, in one slot: the same bits', async () => {
    const examples = await readTask(folder, copa, 100);
    const [many, one] = [await Journal.open(null, {}), await Journal.open(null, {})];
    const result = await runTask(model, 'copa', examples, many, quiet);
    expect(await runTask(small, 'copa', examples, one, { ...quiet, batch: 1 })).toEqual(result);
    for (const i of examples.keys()) expect(one.get('copa', i)).toEqual(many.get('copa', i));
    expect(result.examples).toBe(5);
    expect(result.acc).toBeGreaterThanOrEqual(0);
  });

  test('cut off anywhere and resumed: the same result, and nothing is computed twice', async () => {
    const examples = await readTask(folder, copa, 100);
    const file = join(folder, 'results.jsonl');
    const first = await Journal.open(file, { a: 1 });
    const result = await runTask(model, 'copa', examples, first, quiet);
    await first.close();
    const whole = readFileSync(file, 'utf8');
    for (const length of [0, 3, 9, 40, 100, whole.length - 1, whole.length]) {
      writeFileSync(file, whole.slice(0, length));
      const journal = await Journal.open(file, { a: 1 });
      const known = examples.filter((_, i) => journal.get('copa', i)).length;
      expect(known).toBe(Math.max(0, whole.slice(0, length).split('\n').length - 2));
      expect(await runTask(model, 'copa', examples, journal, quiet)).toEqual(result);
      await journal.close();
      const sorted = (text: string) => text.trim().split('\n').sort();
      expect(sorted(readFileSync(file, 'utf8'))).toEqual(sorted(whole));
    }
    await expect(Journal.open(file, { a: 2 })).rejects.toMatchObject({ code: 'INVALID_FILE' });
    for (const other of ['notes of mine', 'notes of mine\n', `{"a":1}\nnotes\n`]) {
      writeFileSync(file, other);
      await expect(Journal.open(file, { a: 1 })).rejects.toMatchObject({ code: 'INVALID_FILE' });
      expect(readFileSync(file, 'utf8')).toBe(other);
    }
    await expect(Journal.open(join(folder, 'no/such/place'), {})).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('aborted: what was done is kept', async () => {
    const examples = await readTask(folder, copa, 100);
    const file = join(folder, 'aborted.jsonl');
    const controller = new AbortController();
    const journal = await Journal.open(file, {});
    const run = runTask(model, 'copa', examples, journal, {
      batch: 1,
      onProgress: (done) => done === 2 && controller.abort(),
      signal: controller.signal,
    });
    await expect(run).rejects.toThrow();
    await journal.close();
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(3);
  });

  test.each<[string, string | Buffer, RegExp]>([
    [
      'no JSON',
      `${JSON.stringify(lines[0])}\nnot json\n`,
      /line 2: expected a JSON object, found 'not json'/,
    ],
    ['a list', '[1]\n', /line 1: expected a JSON object/],
    ['a field missing', `{"premise":"x"}\n`, /line 1: field 'question'/],
    ['a line of 10 MB', `{"premise":"${'x'.repeat(1e7)}"}`, /line 1: longer than 1000000 characters/],
    ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), /line 1 or later: the text is not UTF-8/],
    ['nothing', '', /expected JSON lines, found none/],
  ])('%s: INVALID_FILE', async (_, content, message) => {
    const bad = mkdtempSync(join(folder, 'bad-'));
    writeFileSync(join(bad, 'copa.jsonl'), content);
    await expect(readTask(bad, copa, 100)).rejects.toMatchObject({ code: 'INVALID_FILE', message });
  });

  test('a gzip file that is cut off, a folder or file that is not there', async () => {
    const bad = mkdtempSync(join(folder, 'bad-'));
    await expect(readTask(bad, copa, 9)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: /no file copa\*/,
    });
    writeFileSync(join(bad, 'copa.jsonl.gz'), readFileSync(join(folder, 'copa.jsonl.gz')).subarray(0, 60));
    await expect(readTask(bad, copa, 9)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: /no gzip file/,
    });
    await expect(readTask(join(bad, 'x'), copa, 9)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('texts', () => {
  const text = 'Once upon a time, there was a little dog named Tim. '.repeat(6);

  test('one window: the log-probabilities of score()', async () => {
    const ids = [0, ...(await model.tokenizer.encode(text))];
    const { total } = await model.score(ids);
    const result = await bitsPerByte(model, text, { window: 1000 });
    expect(result.tokens).toBe(ids.length - 1);
    expect(result.bitsPerByte).toBeCloseTo(-total / Math.LN2 / text.length, 6);
    expect(result.perplexity).toBeCloseTo(Math.exp(-total / (ids.length - 1)), 4);
  });

  test('a stride: every token once, after at least window − stride others', async () => {
    const ids = [0, ...(await model.tokenizer.encode(text))];
    const [window, stride] = [20, 7];
    let total = 0;
    for (let scored = 1; scored < ids.length; ) {
      const to = Math.min(scored + (scored === 1 ? window : stride), ids.length);
      const from = Math.max(0, to - window - 1);
      const { logprobs } = await model.score(ids.slice(from, to));
      for (let i = scored; i < to; i++) total += logprobs[i - from]!;
      scored = to;
    }
    const result = await bitsPerByte(model, text, { window, stride });
    expect(result.bitsPerByte).toBeCloseTo(-total / Math.LN2 / text.length, 6);
    expect(result.bitsPerByte).toBeLessThan((await bitsPerByte(model, text, { window: 7 })).bitsPerByte);
  });

  test('shorter than the stride', async () => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    await expect(bitsPerByte(model, 'One day', { window: 100, stride: 50 })).rejects.toEqual(refused);
    await expect(bitsPerByte(model, '', { window: 100 })).rejects.toEqual(refused);
  });
});
