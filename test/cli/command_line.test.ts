import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { distance, refuseMistyped } from '../../src/cli/mistyped.ts';
import { type OptionName, Options, UsageError } from '../../src/cli/options.ts';
import { figures } from '../../src/cli/report.ts';
import type { ModelInfo, Usage } from '../../src/engine/types.ts';
import { edgeSsm, json, NANO } from './edge_ssm.ts';

describe('MODEL', () => {
  test('is an argument or --model, and the embedded one has a name', async () => {
    const both = await Promise.all([json(['inspect', NANO]), json(['inspect', '--model', NANO])]);
    expect(both[0]).toEqual(both[1]);
    const [tiny] = await json(['inspect', 'tiny']);
    expect(tiny.container).toBe('safetensors');
    expect(await json(['inspect'])).toEqual([tiny]);
    expect((await json(['info', '--model', NANO])).name).toBe((await json(['info', NANO])).name);
    expect(await edgeSsm(['info', NANO, '--model', 'tiny'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/one model, found .* and --model tiny/),
    });
  });

  test('a model where a prompt is expected is taken as one, and told', async () => {
    for (const word of ['tiny', NANO]) {
      const { code, out, err } = await edgeSsm([word, '--max-tokens', '1']);
      expect([code, out.startsWith(word)]).toEqual([0, true]);
      expect(err).toContain(`edge-ssm: '${word}' is taken as the prompt; as the model: --model ${word}\n`);
    }
    expect((await edgeSsm(['tiny', '--model', NANO, '--max-tokens', '1'])).err).not.toContain('is taken');
  });
});

describe('a mistyped command', () => {
  const commands = ['run', 'chat', 'info', 'logits', 'score', 'inspect', 'convert', 'help'];

  test.each([
    [['inof'], 'info'],
    [['inf', 'tiny'], 'info'],
    [['scor', NANO, '--text', 'x'], 'score'],
    [['convrt', 'tiny', 'out'], 'convert'],
    [['insepct', '--json'], 'inspect'],
    [['rum', 'a', 'b'], 'run'],
  ])('%j: did you mean %s?', (args, meant) => {
    expect(() => refuseMistyped(args, commands)).toThrow(new RegExp(`did you mean ${meant}\\?`));
  });

  test.each([
    [['Once', 'upon', 'a', 'time']],
    [['Rum']],
    [['rum and cola']],
    [['once']],
    [['the', 'end']],
    [['scare', 'me', 'with', 'a', 'story']],
    [['--json', 'inof']],
    [[]],
  ])('%j is a prompt', (args) => {
    expect(() => refuseMistyped(args, commands)).not.toThrow();
  });

  test('is refused with what is meant; run takes it as a prompt', async () => {
    expect(await edgeSsm(['inof'])).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringMatching(/no command 'inof': did you mean info\? As a prompt: edge-ssm run inof/),
    });
    const { code, out } = await edgeSsm(['run', 'inof', '--model', NANO, '--max-tokens', '1']);
    expect([code, out.startsWith('inof')]).toEqual([0, true]);
  });

  test('edits are counted, a swap as one', () => {
    const cases = [
      ['info', 'inof', 1],
      ['', 'ab', 2],
      ['chat', 'chat', 0],
      ['score', 'core', 1],
      ['run', 'fan', 2],
    ] as const;
    for (const [a, b, edits] of cases) expect([distance(a, b), distance(b, a)], a).toEqual([edits, edits]);
  });
});

test('bytes with units', () => {
  const bytes = (text: string) =>
    new Options([`--memory-budget=${text}`], ['memory-budget'] as OptionName[]).bytes('memory-budget');
  const found = ['1000', '1e9', '1GB', '1gb', '1.5 MB', '1KiB', '2K', '3m', '1G', '1TiB', '5B', '1Mi'].map(
    bytes,
  );
  const [k, m, g] = [2 ** 10, 2 ** 20, 2 ** 30];
  expect(found).toEqual([1000, 1e9, 1e9, 1e9, 1.5e6, k, 2 * k, 3 * m, g, 1024 * g, 5, m]);
  for (const odd of ['', 'GB', '1XB', '-1', '1 G B', 'Infinity', '0x10'])
    expect(() => bytes(odd), odd).toThrow(UsageError);
});

test('options are checked before anything is fetched', async () => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const model = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m/`;
  const cases: [string[], RegExp][] = [
    [['x', '--model', model, '--max-tokens', '0'], /maxTokens/],
    [['chat', '--model', model, '--top-p', '2'], /topP/],
    [['score', model, '--text', 'x', '--threads', '-1'], /threads/],
    [['info', model, '--backend', 'cuda'], /backend/],
    [['bench', model, '--memory-budget', '1XB'], /memory-budget/],
    [['logits', model, '--ids', '1', '--out', '/no/such/x'], /no directory/],
    [['logits', model, '--ids', '1', '--out', 'x', '--last', '0'], /--last/],
    [['convert', model, 'out', '--quantize', 'q5'], /q4, q8/],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await edgeSsm(args);
    expect([code === 0, err]).toEqual([false, expect.stringMatching(message)]);
  }
  expect(asked).toEqual([]);
  await edgeSsm(['info', model]);
  expect(asked.length).toBeGreaterThan(0);
  server.close();
});

test('the line of figures fits a terminal', () => {
  const usage = { promptTokens: 123_456, completionTokens: 9_999, prefillMs: 1204, decodeMs: 1000 } as Usage;
  for (const [backend, threads] of [
    ['wasm', 16],
    ['webgpu', 1],
    ['wasm', 1],
  ] as const) {
    const info = { backend, threads, slotBytes: 999 * 2 ** 20 } as ModelInfo;
    expect(figures(info, usage).length).toBeLessThanOrEqual(80);
    expect(figures(info, { ...usage, completionTokens: 1 })).toContain(' + – tok/s');
  }
});

test('a state of one size in info and after a run', async () => {
  const state = /state +([\d.]+ [KM]iB)/;
  const { err } = await edgeSsm(['x', '--model', NANO, '--max-tokens', '1']);
  const { out } = await edgeSsm(['info', NANO]);
  expect(state.exec(err)![1]).toBe(state.exec(out)![1]);
});

test('help says what --out is to each command', async () => {
  const said = async (...command: string[]) =>
    /^ +--out FILE +(.+)/m.exec((await edgeSsm([...command, '--help'])).out)![1];
  expect(await said('eval')).toMatch(/results/);
  expect(await said('state')).toMatch(/state/);
  expect(await said('logits')).toMatch(/safetensors/);
  const { out } = await edgeSsm(['help', 'info']);
  expect(out).toBe((await edgeSsm(['info', '--help'])).out);
});
