import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { Journal } from '../../src/cli/eval_run.ts';
import { makeFolder, writeFileAtomic } from '../../src/runtime/files.node.ts';
import { expectError } from '../weights/files.ts';

const root = mkdtempSync(join(tmpdir(), 'edge-ssm-write-'));
afterAll(() => rmSync(root, { recursive: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'a-'));
});

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (path: string) => readFileSync(path, 'utf8');
const at = (name: string) => join(folder, name);

/** As somebody who is not root: the kernel asks root for no permission. */
async function unprivileged(run: () => Promise<void>): Promise<void> {
  const root = process.geteuid?.() === 0;
  if (root) process.seteuid!(65534);
  try {
    await run();
  } finally {
    if (root) process.seteuid!(0);
  }
}

describe('links', () => {
  test('stay, and what they point to is replaced', async () => {
    mkdirSync(at('there'));
    mkdirSync(at('there/deep'));
    writeFileSync(at('there/real'), 'before');
    symlinkSync('there/real', at('link'));
    symlinkSync(at('link'), at('second'));
    symlinkSync('there/deep', at('folder'));
    symlinkSync('folder/../real', at('crooked')); // is there/real, not real
    for (const name of ['link', 'second', 'crooked']) {
      await writeFileAtomic(at(name), [bytes(name)]);
      expect(text(at('there/real'))).toBe(name);
      expect(lstatSync(at(name)).isSymbolicLink()).toBe(true);
    }
    expect(readlinkSync(at('second'))).toBe(at('link'));
    expect(readdirSync(folder).sort()).toEqual(['crooked', 'folder', 'link', 'second', 'there']);
    expect(readdirSync(at('there')).sort()).toEqual(['deep', 'real']);
  });

  test('that point to nothing make what they point to', async () => {
    symlinkSync('later', at('link'));
    await writeFileAtomic(at('link'), [bytes('now')]);
    expect([text(at('later')), lstatSync(at('link')).isSymbolicLink()]).toEqual(['now', true]);
    symlinkSync('no/such/folder/x', at('lost'));
    await expectError(() => writeFileAtomic(at('lost'), [bytes('x')]), 'NOT_FOUND', /no directory/);
    symlinkSync('round', at('round'));
    await expectError(() => writeFileAtomic(at('round'), [bytes('x')]), 'WRITE_FAILED', /in a circle/);
  });
});

describe('what is no regular file is written to as it is', () => {
  /** One of our own for root, who could replace the real one. */
  function device(name: 'null' | 'full', minor: number): string {
    if (process.geteuid?.() !== 0) return `/dev/${name}`;
    execFileSync('mknod', [at(name), 'c', '1', String(minor)]);
    return at(name);
  }

  test.runIf(process.platform === 'linux')('devices', async () => {
    const [nothing, full] = [device('null', 3), device('full', 7)];
    await writeFileAtomic(nothing, [bytes('x')]);
    await expectError(() => writeFileAtomic(full, [bytes('x')]), 'WRITE_FAILED', /no space is left/);
    symlinkSync(nothing, at('link'));
    await writeFileAtomic(at('link'), [bytes('x')]);
    expect([nothing, full].map((path) => statSync(path).isCharacterDevice())).toEqual([true, true]);
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
  });

  test('a FIFO, and results of an evaluation line by line', async () => {
    execFileSync('mkfifo', [at('fifo')]);
    const read = readFile(at('fifo'), 'utf8');
    await writeFileAtomic(at('fifo'), [bytes('one '), bytes('two')]);
    expect([await read, lstatSync(at('fifo')).isFIFO()]).toEqual(['one two', true]);
    const lines = readFile(at('fifo'), 'utf8');
    const journal = await Journal.open(at('fifo'), { a: 1 });
    const outcomes = [0, 1].map((index) => ({ task: 'copa', index, logLikelihoods: [1, 2] }));
    await Promise.all(outcomes.map((outcome) => journal.add(outcome)));
    await journal.close();
    expect(
      (await lines)
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([{ a: 1 }, ...outcomes]);
    expect(lstatSync(at('fifo')).isFIFO()).toBe(true);
  });

  test.runIf(process.platform === 'linux')('an open file of the process', async () => {
    const handle = await open(at('out'), 'w+');
    await writeFileAtomic(`/dev/fd/${handle.fd}`, [bytes('x')]);
    expect((await handle.stat()).size).toBe(1); // this very file, not one in its place
    await handle.close();
  });
});

describe('a file that is there', () => {
  test.each([0o600, 0o640, 0o755])('keeps its mode: %o', async (mode) => {
    writeFileSync(at('file'), 'before');
    chmodSync(at('file'), mode);
    await writeFileAtomic(at('file'), [bytes('after')]);
    expect([statSync(at('file')).mode & 0o777, text(at('file'))]).toEqual([mode, 'after']);
  });

  test('keeps its owner, if root may give it away', async () => {
    if (process.geteuid?.() !== 0) return; // nobody else may
    writeFileSync(at('file'), 'before');
    chownSync(at('file'), 1234, 1234);
    await writeFileAtomic(at('file'), [bytes('after')]);
    expect(statSync(at('file'))).toMatchObject({ uid: 1234, gid: 1234 });
  });

  test('a new one has the mode that others have', async () => {
    writeFileSync(at('one'), '');
    await writeFileAtomic(at('two'), [bytes('x')]);
    expect(statSync(at('two')).mode).toBe(statSync(at('one')).mode);
  });

  test('a name of 255 bytes', async () => {
    const name = 'n'.repeat(255);
    await writeFileAtomic(at(name), [bytes('x')]);
    expect(readdirSync(folder)).toEqual([name]);
    await expectError(
      () => writeFileAtomic(at(`${name}n`), [bytes('x')]),
      'WRITE_FAILED',
      /name is too long/,
    );
  });
});

describe('refused: an EdgeError, what was there untouched, nothing left behind', () => {
  test('a directory', async () => {
    mkdirSync(at('d'));
    await expectError(() => writeFileAtomic(at('d'), [bytes('x')]), 'WRITE_FAILED', /is a directory/);
    writeFileSync(at('f'), '');
    await expectError(() => makeFolder(at('f')), 'WRITE_FAILED', /is a file, expected a directory/);
    await expectError(() => writeFileAtomic(at('f/x'), [bytes('x')]), 'WRITE_FAILED', /is a file/);
    expect(readdirSync(folder).sort()).toEqual(['d', 'f']);
  });

  test('permission: of the folder, of the file', async () => {
    chmodSync(root, 0o755);
    writeFileSync(at('file'), 'before', { mode: 0o444 });
    chmodSync(folder, 0o777);
    await unprivileged(() =>
      expectError(() => writeFileAtomic(at('file'), [bytes('x')]), 'WRITE_FAILED', /permission is denied/),
    );
    chmodSync(at('file'), 0o666);
    chmodSync(folder, 0o555);
    await unprivileged(() =>
      expectError(() => writeFileAtomic(at('file'), [bytes('x')]), 'WRITE_FAILED', /permission is denied/),
    );
    expect([text(at('file')), readdirSync(folder)]).toEqual(['before', ['file']]);
    chmodSync(folder, 0o755);
  });
});
