import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { edgeSsm, NANO, PROMPT, start } from './edge_ssm.ts';

describe('edge-ssm chat', () => {
  const args = ['chat', '--model', NANO, '--max-tokens', '6', '--ignore-eos'];

  test('keeps its session until /reset', async () => {
    const model = await load(NANO);
    const session = await model.session();
    const options = { maxTokens: 6, ignoreEos: true };
    const texts: string[] = [];
    for (const line of [PROMPT, ' and then', '/reset', PROMPT])
      if (line === '/reset') await session.reset();
      else texts.push((await session.generate(line, options).result()).text);
    await model.dispose();
    expect(texts[2]).toBe(texts[0]);
    const { code, out } = await edgeSsm(args, `${PROMPT}\n and then\n/reset\n${PROMPT}\n/exit\nnot read\n`);
    expect({ code, out }).toEqual({ code: 0, out: `${texts.join('\n')}\n` });
  });

  test('/undo, /retry, /save and /load', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-chat-'));
    const file = join(folder, 'talk.state');
    const lines = [
      PROMPT,
      '/save FILE',
      ' and then',
      '/undo',
      ' and then',
      '/retry',
      '/load FILE',
      ' and then',
      '/load nothing',
      '/save',
      '/exit',
    ];
    const { code, out, err } = await edgeSsm(args, lines.join('\n').replaceAll('FILE', file));
    rmSync(folder, { recursive: true });
    const [first, ...later] = out.trimEnd().split('\n');
    expect(first!.length).toBeGreaterThan(0);
    expect(new Set(later).size).toBe(1); // the same turn, four times
    expect(later).toHaveLength(4);
    expect(code).toBe(0);
    expect(err).toMatch(/There is no file 'nothing'[\s\S]*\/save takes a file/);
  });

  test('/fork goes on in a copy, /back returns to what was', async () => {
    const forks = Array.from({ length: 5 }, () => '/fork');
    const lines = [
      PROMPT,
      '/fork',
      ' and then',
      '/back',
      ' and then',
      ...forks,
      '/back',
      '/undo',
      ' and then',
      '/back',
    ];
    const { code, out, err } = await edgeSsm(args, [...lines, ...forks, '/exit'].join('\n'));
    expect(code).toBe(0);
    const [, ...later] = out.trimEnd().split('\n');
    expect(later).toHaveLength(3);
    expect(new Set(later).size).toBe(1);
    expect(err).not.toMatch(/edge-ssm:/);
    const said = err
      .split('\n')
      .filter((line) => /fork|Fork|Took/.test(line) && !line.startsWith('Each line'));
    expect(said.slice(0, 2)).toEqual([
      expect.stringMatching(/^Fork 1, a copy of \d+ tokens; \/back/),
      expect.stringMatching(/^Left the fork: back at \d+ tokens/),
    ]);
    expect(
      said.filter((line) => /^Took back the last turn, \d+ tokens; \d+ are left/.test(line)),
    ).toHaveLength(1);
    expect((await edgeSsm(args, '/back\n')).err).toMatch(/no \/fork/);
  });

  test('a command that there is not, /help, a first line from the command line', async () => {
    const lines = ['/undoo', '/retry', '/Undo 3', '/help', ' /undoo', '/usr/bin', '/exit  '];
    const { code, out, err } = await edgeSsm([...args, PROMPT, '--json'], `${lines.join('\n')}\nnot read\n`);
    expect(code).toBe(0);
    expect(err.match(/There is no \/\w+; there are \/undo, \/retry/g)).toHaveLength(2);
    expect(err.match(/Each line continues/g)).toHaveLength(2);
    const replies = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const model = await load(NANO);
    const prompts = [PROMPT, PROMPT, ' /undoo', '/usr/bin'].map((text) => model.tokenizer.encode(text));
    const lengths = (await Promise.all(prompts)).map(({ length }) => length);
    await model.dispose();
    expect(replies.map(({ usage }) => usage.promptTokens)).toEqual(lengths);
  });

  test('--json tells the position', async () => {
    const { out } = await edgeSsm([...args, '--json'], `${PROMPT}\nmore\n`);
    const [first, second] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(first.finishReason).toBe('length');
    expect(second.position).toBeGreaterThan(first.position);
  });

  const endless = ['chat', '--model', NANO, '--max-tokens', '1000000000', '--ignore-eos'];

  test('Ctrl-C stops a reply, and the conversation goes on', async () => {
    const { child, ended, until } = start(endless);
    await until('stderr', '/exit');
    child.stdin.write(`${PROMPT}\n`);
    await until('stdout', ' ');
    child.kill('SIGINT');
    child.stdin.write('/exit\n');
    expect((await ended).code).toBe(0);
  });

  test('Ctrl-C twice leaves, at once', async () => {
    const { child, ended, until } = start(endless);
    await until('stderr', '/exit');
    child.kill('SIGINT');
    await until('stderr', 'Ctrl-C again');
    child.kill('SIGINT');
    expect((await ended).code).toBe(130);
  });
});
