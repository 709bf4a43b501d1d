import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { parseSafetensors } from '../helpers/safetensors.ts';
import { CLI, edgeSsm, json, NANO, PROMPT, start } from './edge_ssm.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('edge-ssm run', () => {
  test('without arguments: one opening, the size of its state, two endings', async () => {
    const { code, out, err } = await edgeSsm([]);
    expect([code, err.trim().split('\n').length]).toEqual([0, 1]);
    expect(out).toContain(' 1.9 MiB of state');
    const parts = out.split(/\n*\[ .+ \]/);
    await using model = await load('tiny');
    const session = await model.session();
    const begin = 'Once upon a time, there was a little girl named Lily.';
    const opening = await session.generate(begin, { stop: '\n' }).result();
    const expected = [begin + opening.text, ''];
    for (const turn of ['\nInside was a tiny dragon.', '\nLily closed the box']) {
      const fork = await session.fork();
      const { text, finishReason } = await fork.generate(turn, { maxTokens: 500 }).result();
      expect(finishReason).toBe('eos'); // told to its end
      expected.push(`${turn}${text}`);
      await fork.close();
    }
    expect(parts.map((part) => part.trimEnd())).toEqual(expected.map((part) => part.trimEnd()));
  });

  test('a few tokens of the embedded model and one line of figures', async () => {
    const { code, out, err } = await edgeSsm(['--max-tokens', '12']);
    expect(code).toBe(0);
    expect(out.length).toBeGreaterThan(60);
    expect(out.endsWith('\n')).toBe(true);
    expect(err.trim().split('\n').length).toBe(1);
    expect(err).toMatch(
      /^\d+ \+ 12 tokens at [\dk]+ \+ [\dk]+ tok\/s \| wasm, \d threads? \| state [\d.]+ MiB\n$/,
    );
  });

  test('the library gives the same text', async () => {
    const model = await load(NANO);
    const { text } = await model.generate(PROMPT, { maxTokens: 20 }).result();
    await model.dispose();
    const { out } = await edgeSsm(['run', PROMPT, '--model', NANO, '--max-tokens', '20']);
    expect(out).toBe(`${PROMPT}${text}\n`);
  });

  test('--json, sampling options and a seed', async () => {
    const args = [PROMPT, '--model', NANO, '--max-tokens', '15', '--temperature', '0.7', '--top-p', '0.9'];
    const first = await json([...args, '--seed', '1']);
    expect(first).toMatchObject({
      prompt: PROMPT,
      seed: 1,
      info: { backend: 'wasm', threads: expect.any(Number) },
    });
    expect(first.ids.length).toBe(first.usage.completionTokens);
    expect((await json([...args, '--seed', '1'])).ids).toEqual(first.ids);
    const stopped = await json([PROMPT, '--model', NANO, '--stop', first.text.slice(0, 1), '--stop', ' ']);
    expect(stopped.finishReason).toBe('stop');
  });

  test('--ids, --threads, --backend, --quantize', async () => {
    const args = [
      '--ids',
      '5,6,7',
      '--model',
      NANO,
      '--threads',
      '2',
      '--backend',
      'wasm',
      '--quantize',
      'q4',
    ];
    const { info, usage } = await json([...args, '--max-tokens', '2']);
    expect(info).toMatchObject({ threads: 2, backend: 'wasm', weights: { kind: 'quant', bits: 4 } });
    expect(usage).toMatchObject({ promptTokens: 3 });
  });

  test('a reader that goes away', async () => {
    const { child, ended, until } = start(['--max-tokens', '5000', '--ignore-eos']);
    await until('stdout', ' ');
    child.stdout.destroy();
    expect(await ended).toMatchObject({ code: 0, err: '' });
  });
});

describe('mistakes', () => {
  test.each<[string[], number, string]>([
    [['--nonsense'], 2, '--nonsense'],
    [['--max-tokens', 'many'], 2, '--max-tokens takes a number'],
    [['--ids', '1,x'], 2, "found 'x'"],
    [['info', 'a', 'b'], 2, 'one model'],
    [['logits', '--ids', '1'], 2, '--out'],
    [['score'], 2, '--text-file'],
    [['score', '--json', '--seed', '1'], 2, '--seed'],
    [['bench', '--repeat', '0'], 2, '--repeat'],
    [['--model', '/absent/model'], 1, 'NOT_FOUND'],
    [['info', '/absent/model'], 1, '/absent/model'],
    [['--temperature', '-1'], 1, 'temperature'],
    [['--backend', 'cuda'], 1, 'cuda'],
    [['--memory-budget', '1000'], 1, 'OUT_OF_MEMORY'],
    [['score', NANO, '--text-file', '/absent.txt'], 1, '/absent.txt'],
    [['--model', NANO, '--ids', '999999'], 1, '999999'],
  ])('%j: one clear line, exit code %i', async (args, code, message) => {
    const { code: found, out, err } = await edgeSsm(args);
    expect({ found, out }).toEqual({ found: code, out: '' });
    const [line, ...more] = err.trimEnd().split('\n');
    expect(line).toMatch(/^edge-ssm: /);
    expect(line).toContain(message);
    expect(more).toEqual(code === 2 ? ['Try: edge-ssm --help'] : []);
  });
});

describe('the other commands', () => {
  test('--help and --version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await edgeSsm(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
    const { out } = await edgeSsm(['--help']);
    for (const command of ['run', 'chat', 'info', 'logits', 'score', 'eval', 'state', 'bench']) {
      expect(out).toContain(`edge-ssm ${command === 'run' ? '[run]' : command}`);
      const help = await edgeSsm([command, '--help']);
      expect(help).toMatchObject({ code: 0, err: '' });
      for (const option of ['--backend', '--threads', '--json']) expect(help.out).toContain(option);
    }
  });

  test('info tells the memory that a load then takes', async () => {
    const described = await json(['info', NANO]);
    const { info } = await json([PROMPT, '--model', NANO, '--max-tokens', '1']);
    for (const name of ['architecture', 'parameters', 'weightBytes', 'vocabSize', 'slotBytes'])
      expect(described[name], name).toEqual(info[name]);
    const { out } = await edgeSsm(['info', NANO]);
    for (const word of ['rene', 'weights', 'state', 'scratch', 'total']) expect(out).toContain(word);
  });

  test('logits writes what the library gives', async () => {
    const out = join(folder, 'logits.safetensors');
    const ids = [5, 6, 7, 8];
    expect(await json(['logits', NANO, '--ids', ids.join(), '--out', out])).toMatchObject({ ids: 4 });
    const file = parseSafetensors(readFileSync(out));
    const model = await load(NANO);
    const logits = await model.logits(ids);
    await model.dispose();
    expect(Array.from(file.get('ids')!.values)).toEqual(ids);
    expect(file.get('logits')!.shape).toEqual([4, model.info.vocabSize]);
    expect(Float32Array.from(file.get('logits')!.values)).toEqual(logits);
    expect((await json(['logits', NANO, '--ids', '5,6,7', '--last', '1', '--out', out])).shape[0]).toBe(1);
  });

  test.runIf(process.platform === 'linux')('a write that breaks off leaves what was there', async () => {
    const place = mkdtempSync(join(folder, 'full-'));
    const out = join(place, 'logits.safetensors');
    writeFileSync(out, 'before');
    const limited = 'ulimit -f 1; exec "$@"'; // no file beyond a block
    const args = ['-c', limited, 'sh', process.execPath, CLI, 'logits', NANO, '--ids', '5,6,7', '--out', out];
    const { status, stderr } = spawnSync('sh', args, { encoding: 'utf8' });
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/\[WRITE_FAILED\]/),
    });
    expect([readdirSync(place), readFileSync(out, 'utf8')]).toEqual([['logits.safetensors'], 'before']);
  });

  test('score reads a file', async () => {
    const file = join(folder, 'text.txt');
    const text = 'The little dog ran to the tree. It was happy.';
    writeFileSync(file, text);
    const found = await json(['score', NANO, '--text-file', file]);
    expect(found.logprobs).toHaveLength(found.tokens);
    expect(found.logprobs[0]).toBeNull();
    expect(found.perplexity).toBeCloseTo(Math.exp(-found.total / (found.tokens - 1)), 4);
    const same = await json(['score', NANO, '--text', text]);
    expect(same.total).toBe(found.total);
    const { out } = await edgeSsm(['score', NANO, '--text-file', file]);
    expect(out).toContain(`perplexity ${found.perplexity.toFixed(4)}`);
  });

  test('bench measures load, prefill and decode', async () => {
    const args = ['bench', NANO, '--prompt-tokens', '40', '--tokens', '9', '--repeat', '2'];
    const result = await json(args);
    expect(result.runs).toHaveLength(2);
    for (const name of ['loadMs', 'prefill', 'decode', 'peakBytes']) expect(result[name]).toBeGreaterThan(0);
    expect((await edgeSsm(args)).out).toMatch(
      /prefill +[\d.]+ tok\/s \(40 tokens\)\ndecode +[\d.]+ tok\/s \(9/,
    );
  });
});

test('state build saves what model.session({ from }) goes on from', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-state-'));
  const out = join(folder, 'system.state');
  writeFileSync(join(folder, 'system.txt'), PROMPT);
  const build = [
    'state',
    'build',
    '--model',
    NANO,
    '--prompt-file',
    join(folder, 'system.txt'),
    '--out',
    out,
  ];
  const result = await json(build);
  const model = await load(NANO);
  const session = await model.session({ from: out });
  expect(session.position + 1).toBe(result.tokens);
  expect((await session.generate('', { maxTokens: 6 }).result()).text).toBe(
    (await model.generate(PROMPT, { maxTokens: 6 }).result()).text,
  );
  await model.dispose();
  rmSync(folder, { recursive: true });
  expect((await edgeSsm(['state', 'bild'])).code).toBe(2);
  expect((await edgeSsm([...build, '--dtype', 'f8'])).code).toBe(2);
});
