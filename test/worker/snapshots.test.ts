import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, describe, expect, test } from 'vitest';
import { Feed } from '../../src/api/feed.ts';
import { snapshotWriter } from '../../src/api/snapshot.ts';
import type { EdgeError } from '../../src/errors.ts';
import { writeFileAtomic } from '../../src/runtime/node.ts';
import { Random } from '../helpers/random.ts';
import { loadNano, PROMPT } from './models.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-snapshots-'));
afterAll(() => rmSync(folder, { recursive: true }));
const greedy = { maxTokens: 10, ignoreEos: true };

/** A script that imports sources, for a process of its own. */
function bundled(script: string): string {
  const stdin = { contents: script, resolveDir: folder, loader: 'ts' as const };
  const options = { bundle: true, write: false, platform: 'node', format: 'esm' } as const;
  return buildSync({ stdin, ...options }).outputFiles[0]!.text;
}

describe('snapshots go', () => {
  test('into files, streams and file handles, and come back', async () => {
    const model = await loadNano();
    const session = await model.session();
    await session.append(PROMPT);
    const bytes = await session.save();
    const path = join(folder, 'talk.state');
    await session.saveTo(path);
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
    const collected: Uint8Array[] = [];
    const sink = () => new WritableStream<Uint8Array>({ write: (piece) => void collected.push(piece) });
    await session.saveTo(sink());
    await session.saveTo({ createWritable: async () => sink() }); // as OPFS has them
    expect(Buffer.compare(Buffer.concat(collected), Buffer.concat([bytes, bytes]))).toBe(0);
    const { text } = await session.generate('', greedy).result();
    async function* drops() {
      for (let at = 0; at < bytes.length; at += 777) yield bytes.subarray(at, at + 777);
    }
    for (const from of [
      await model.restore(bytes).then((s) => s.saveStream()),
      drops(),
      bytes.buffer as ArrayBuffer,
    ]) {
      const again = await model.session({ from });
      expect((await again.generate('', greedy).result()).text).toBe(text);
      await again.close();
    }
  });

  test('nowhere, if they are larger than any of this model', async () => {
    const model = await loadNano();
    let given = 0;
    async function* endless() {
      for (;;) {
        given += 2 ** 16;
        yield new Uint8Array(2 ** 16);
      }
    }
    const refused = expect.objectContaining({ code: 'STATE_MISMATCH' });
    await expect(model.restore(endless())).rejects.toEqual(refused);
    expect(given).toBeLessThan(model.info.slotBytes + 2 ** 18);
    await expect(model.restore(new Blob([new Uint8Array(2 ** 24)]))).rejects.toEqual(refused);
    for (const odd of [null, 5, {}, []])
      await expect(model.restore(odd as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('a save that fails or is killed leaves the file that was there', async () => {
    const path = join(folder, 'kept.state');
    writeFileSync(path, 'before');
    const failing = new Uint8Array(2 ** 20);
    let pieces = 0;
    failing.subarray = (begin, end) => {
      pieces += 1;
      if (pieces > 3) throw new Error('no more');
      return new Uint8Array(failing.buffer).subarray(begin, end);
    };
    await expect(snapshotWriter(path)(failing)).rejects.toThrow('no more');
    expect(readFileSync(path, 'utf8')).toBe('before');
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    const files = fileURLToPath(new URL('../../src/runtime/files.node.ts', import.meta.url));
    for (const after of [0, 1, 5, 20]) {
      const script = `import { writeFileAtomic } from ${JSON.stringify(files)};
        await writeFileAtomic(${JSON.stringify(path)}, (async function* () {
          for (let i = 0; ; i++) {
            if (i === ${after}) { console.log('now'); await new Promise(() => setInterval(() => {}, 1000)); }
            yield new Uint8Array(4096).fill(1);
          }
        })());`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', bundled(script)]);
      await new Promise((resolve) => child.stdout.once('data', resolve));
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      expect(readFileSync(path, 'utf8')).toBe('before');
    }
  });
});

test('at every byte of a save the file that was there is whole: a kill leaves what lies there then', async () => {
  const path = join(folder, 'whole.state');
  writeFileSync(path, 'before');
  const model = await loadNano();
  const session = await model.session();
  await session.append([1, 2, 3]);
  const bytes = await session.save({ dtype: 'f16' });
  await writeFileAtomic(
    path,
    (async function* () {
      for (let at = 0; at < bytes.length; at++) {
        if (readFileSync(path, 'utf8') !== 'before') throw new Error(`changed before byte ${at}`);
        yield bytes.subarray(at, at + 1);
      }
    })(),
  );
  expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
});

describe('append of a stream', () => {
  /** What is consumed of it when nothing is gathered up. */
  async function* pieces(stream: AsyncIterable<string>) {
    const feed = new Feed();
    for await (const part of stream) {
      feed.push(part);
      for (let piece = feed.take(); piece !== null; piece = feed.take()) yield piece as string;
    }
    yield* feed.flush() as string[];
  }

  async function* words(count: number, random: Random) {
    const vocabulary = ['the', 'dog', "isn't", 'naïve', '12', 'x,', 'ran.', '日本', '\n', '😀', '-', '  '];
    for (let i = 0; i < count; i++)
      yield `${i > 0 && random.below(3) > 0 ? ' ' : ''}${vocabulary[random.below(vocabulary.length)]}`;
  }

  test('gives the tokens of the whole text, whatever the pieces', async () => {
    const model = await loadNano();
    for (const seed of [1, 2, 3]) {
      let text = '';
      for await (const word of words(2000, new Random(seed))) text += word;
      let [count, longest] = [0, 0];
      const ids: number[] = [];
      for await (const piece of pieces(words(2000, new Random(seed)))) {
        longest = Math.max(longest, piece.length);
        ids.push(...(await model.tokenizer.encode(piece)));
        count += 1;
      }
      expect(count).toBeGreaterThan(300); // as it comes
      expect(longest).toBeLessThan(150);
      expect(ids).toEqual([...(await model.tokenizer.encode(text))]);
    }
  });

  test('a word without end is cut, and no pair of surrogates', async () => {
    async function* emoji() {
      for (let i = 0; i < 100; i++) yield '😀'.repeat(1001);
    }
    let text = '';
    for await (const piece of pieces(emoji())) {
      encodeURIComponent(piece); // throws at half a pair
      text += piece;
    }
    expect(text).toBe('😀'.repeat(100_100));
  });

  test('is the same as one prompt, one turn, and asked for no faster than it is consumed', async () => {
    const model = await loadNano({ checkpointBytes: 0 });
    const ids = Array.from({ length: 30_000 }, (_, i) => (i * 37) % 1000);
    const whole = await model.session();
    await whole.append(ids);
    const session = await model.session();
    await session.append([1, 2]);
    await session.rewind({ position: 0 });
    let ahead = 0;
    async function* stream() {
      for (let at = 0; at < ids.length; at += 500) {
        ahead = Math.max(ahead, at - session.position);
        yield ids.slice(at, at + 500);
      }
    }
    const feeding = session.append(stream());
    await expect(session.append('x')).rejects.toMatchObject({ code: 'BUSY' });
    expect(await feeding).toBe(whole.position);
    expect(ahead).toBeLessThanOrEqual(2 * 4096 + 500);
    expect(Buffer.compare(await session.save(), await whole.save())).toBe(0);
    await session.rewind({ turn: -1 });
    expect(session.position).toBe(0);
  });

  test('what stops it leaves what was taken', async () => {
    const model = await loadNano();
    const session = await model.session();
    const abort = new AbortController();
    let given = 0;
    async function* stream() {
      for (let i = 0; i < 100; i++) {
        if (i === 10) abort.abort();
        given += 1000;
        yield Array.from({ length: 1000 }, () => 5);
      }
    }
    const error = await session.append(stream(), { signal: abort.signal }).catch((e: EdgeError) => e);
    expect(error).toMatchObject({ code: 'ABORTED' });
    const left = (error as EdgeError).unconsumed!.reduce((sum, { length }) => sum + length, 0);
    expect(session.position + 1 + left).toBe(given);
    expect(given).toBe(11_000);
    expect(session.position + 1).toBeGreaterThanOrEqual(1000);
    async function* odd() {
      yield 5 as never;
    }
    await expect(session.append(odd())).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await session.append([1])).toBeGreaterThanOrEqual(1000);
  });
});

test('statistics, spill and the prefix cache across the boundary', async () => {
  const model = await loadNano({ maxSessions: 1, spill: 2, cacheBytes: 2 ** 24 });
  const sessions = [await model.session(), await model.session()];
  const prompt = `${PROMPT} there was a dog and a cat, and they ran to the big old tree in the garden.`;
  for (const session of sessions) await session.append(prompt);
  expect(await model.stats()).toMatchObject({
    sessions: 2,
    spilled: 1,
    prefixCache: { hits: 1, misses: 1, entries: 1 },
  });
  const texts = [];
  for (const session of sessions) texts.push((await session.generate('', greedy).result()).text);
  expect(texts[0]).toBe(texts[1]);
  expect(model.info.hostBytes).toBeGreaterThan(2 ** 24);
});
