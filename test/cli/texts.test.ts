import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readPrompt, readText } from '../../src/cli/text.ts';
import { expectError } from '../weights/files.ts';
import { CLI, edgeSsm, json, NANO } from './edge_ssm.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-texts-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, ...parts: (string | number[] | Buffer)[]) => {
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part as string))));
  return path;
};
const TEXT = 'Die Füße – 🦊\nzwei\n';

/** What a shell makes of a line; "$@" is the command and its arguments. */
function shell(line: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line, 'sh', process.execPath, CLI, ...args], {
    encoding: 'utf8',
    cwd: folder,
  });
  return { code: status, out: stdout, err: stderr };
}

describe('files of text', () => {
  test('with and without a byte order mark, in UTF-16', async () => {
    const swapped = Buffer.from(TEXT, 'utf16le').swap16();
    for (const path of [
      file('plain', TEXT),
      file('bom', [0xef, 0xbb, 0xbf], TEXT),
      file('little', [0xff, 0xfe], Buffer.from(TEXT, 'utf16le')),
      file('big', [0xfe, 0xff], swapped),
    ]) {
      expect(await readText(path), path).toBe(TEXT);
      expect(await readPrompt(path), path).toBe(TEXT.trimEnd());
    }
    expect(await readPrompt(file('windows', 'a\r\n\r\n'))).toBe('a\r\n');
  });

  test.each<[string, Buffer, RegExp[]]>([
    ['Latin-1', Buffer.from('eins\nFüße', 'latin1'), [/is not UTF-8/, /line 2/, /iconv/]],
    [
      'UTF-16 without a mark',
      Buffer.from('eins\n', 'utf16le'),
      [/no text: line 1 has zero bytes/, /byte order/],
    ],
    ['UTF-16 cut off', Buffer.from([0xff, 0xfe, 0x41, 0, 0x42]), [/is not UTF-16LE/]],
  ])('%s is refused', (name, bytes, said) =>
    expectError(() => readText(file(name, bytes)), 'INVALID_FILE', ...said),
  );

  test('where there is none', async () => {
    await expectError(() => readText(join(folder, 'none')), 'NOT_FOUND', /cannot be read \(ENOENT\)/);
    await expectError(() => readText(folder), 'NOT_FOUND', /it is a directory/);
  });

  test('commands read them', async () => {
    const [plain, bom, latin] = [
      file('p', 'The dog ran.'),
      file('b', '\ufeffThe dog ran.\n'),
      file('l', Buffer.from('é', 'latin1')),
    ];
    expect((await json(['--prompt-file', bom, '--model', NANO, '--max-tokens', '1'])).prompt).toBe(
      'The dog ran.',
    );
    const score = async (...args: string[]) => (await json(['score', NANO, ...args])).total;
    expect(await score('--text-file', plain)).toBe(await score('--text', 'The dog ran.'));
    for (const args of [
      ['--prompt-file', latin],
      ['score', NANO, '--text-file', latin],
      ['eval', NANO, '--text-file', latin],
      ['state', 'build', '--prompt-file', latin, '--out', join(folder, 'x')],
    ])
      expect(await edgeSsm(args)).toMatchObject({
        code: 1,
        err: expect.stringMatching(/not UTF-8.*\[INVALID_FILE\]/),
      });
  });
});

describe('standard input', () => {
  const args = ['--model', NANO, '--max-tokens', '2', '--json'];

  test.each([
    ['echo "The dog" | "$@"', []],
    ['echo "The dog" | "$@" -', ['run']],
    ['echo "The dog" | "$@" --prompt-file -', []],
    ['echo "The dog" > in; "$@" < in', []],
    ['echo "not read" | "$@" "The dog"', []],
  ])('%s', (line, command) => {
    const { code, out } = shell(line, ...command, ...args);
    expect([code, JSON.parse(out).prompt]).toEqual([0, 'The dog']);
  });

  test('nothing there is no prompt; other commands read it too', () => {
    expect(JSON.parse(shell('"$@" < /dev/null', ...args).out).prompt).toMatch(/^Once upon a time/);
    const piped = shell('printf "The dog ran." | "$@"', 'score', NANO, '--json');
    expect(JSON.parse(piped.out).total).toBe(
      JSON.parse(shell('"$@" --text "The dog ran."', 'score', NANO, '--json').out).total,
    );
    expect(shell('printf "" | "$@"', 'score', NANO)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/--text-file/),
    });
    expect(shell('printf "\\351" | "$@"', ...args)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/standard input is not UTF-8/),
    });
  });
});

describe.runIf(process.platform === 'linux')('standard output', () => {
  test('on a full disk: a message and exit code 1', () => {
    for (const args of [['--help'], ['run', 'The dog', '--model', NANO], ['info', NANO]])
      expect(shell('"$@" > /dev/full', ...args)).toMatchObject({
        code: 1,
        err: expect.stringMatching(/^edge-ssm: Cannot write standard output: no space is left on the device/),
      });
    expect(shell('"$@" 2> /dev/full', '--model', NANO, 'The dog', '--max-tokens', '2').code).toBe(0);
  });

  test('a reader that goes away is none of our business', () => {
    expect(shell('{ "$@"; echo "code $?" >&2; } | true', 'info', NANO)).toMatchObject({ err: 'code 0\n' });
  });

  test('--out /dev/stdout goes where standard output goes', () => {
    const args = ['state', 'build', '--model', NANO, '--text', 'The dog', '--out'];
    execFileSync(process.execPath, [CLI, ...args, join(folder, 'file.state')]);
    const { code } = shell('"$@" > piped.state', ...args, '/dev/stdout');
    expect(code).toBe(0);
    const written = readFileSync(join(folder, 'piped.state'));
    expect(written.length).toBeGreaterThanOrEqual(statSync(join(folder, 'file.state')).size);
  });
});
