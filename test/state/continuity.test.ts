import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { generate, handle, ids, open, rejects } from '../engine/drive.ts';
import { FIXTURES } from '../helpers/fixtures.ts';
import { FULL } from '../helpers/full.ts';
import { variant } from '../wasm/host.ts';
import { NANO } from '../worker/models.ts';
import { loadFixtureEngine, snapshot } from './operations.ts';

const wasm = variant('simd', { threaded: false });
const hundred = { maxTokens: 100, ignoreEos: true, temperature: 0.8, seed: 3, repetitionPenalty: 1.1 };

test('100 tokens, save, restore in a new process, 100 tokens: the 200 of one go, to the bit', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-process-'));
  const engine = await loadEngine(NANO, { threads: 1 }, { backends: [wasm] });
  const session = await open(engine);
  await generate(engine, session, [5, 6, 7], hundred);
  writeFileSync(join(folder, 'talk.state'), await snapshot(engine, session));
  const { tokens } = await generate(engine, session, '', hundred);
  const after = await snapshot(engine, session);
  await engine.dispose();
  const library = new URL('../../dist/node/index.js', import.meta.url).href; // built before the tests run
  const script = `
    import { load } from ${JSON.stringify(library)};
    const model = await load(${JSON.stringify(NANO)}, { threads: 1 });
    const session = await model.session({ from: ${JSON.stringify(join(folder, 'talk.state'))} });
    const { tokens } = await session.generate('', ${JSON.stringify(hundred)}).result();
    const state = Buffer.from(await session.save()).toString('base64');
    console.log(JSON.stringify({ ids: tokens.map(({ id }) => id), state }));
    await model.dispose();`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(JSON.parse(out)).toEqual({ ids: ids(tokens), state: Buffer.from(after).toString('base64') });
  rmSync(folder, { recursive: true });
});

test.each(FIXTURES)(
  '%s: saved on one backend, restored on the other, the same greedy tokens',
  async (name) => {
    const options = { quantize: 'none', numerics: 'exact' } as const;
    const here = await loadFixtureEngine(name, wasm, options);
    const there = await loadFixtureEngine(name, reference, { ...options, backend: 'reference' });
    const greedy = { maxTokens: FULL ? 200 : 50, ignoreEos: true };
    for (const [from, to] of [
      [here, there],
      [there, here],
    ] as const) {
      const session = await open(from);
      await from.append(
        session,
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
        handle(),
      );
      const bytes = await snapshot(from, session);
      expect(bytes.length).toBeLessThanOrEqual(here.info.slotBytes + 4096);
      const copy = handle();
      expect(await to.restoreSession(copy, bytes, {})).toBe(19);
      const expected = ids((await generate(from, session, '', greedy)).tokens);
      expect(ids((await generate(to, copy, '', greedy)).tokens)).toEqual(expected);
    }
    await Promise.all([here.dispose(), there.dispose()]);
  },
);

if (FULL)
  test('the embedded model: saved on WASM, 200 greedy tokens on the reference, and the reverse', async () => {
    const folder = fileURLToPath(new URL('../../models/tiny', import.meta.url));
    const options = { numerics: 'exact', threads: 1 } as const;
    const [here, there] = [
      await loadEngine(folder, options, { backends: [wasm] }),
      await loadEngine(folder, { ...options, backend: 'reference' }, { backends: [reference] }),
    ];
    const session = await open(here);
    await here.append(session, 'Once upon a time, there was a little fox.', handle());
    const over = handle();
    await there.restoreSession(over, await snapshot(here, session), {});
    const back = handle();
    await here.restoreSession(back, await snapshot(there, over), {});
    const greedy = { maxTokens: 200, ignoreEos: true, repetitionPenalty: 1 };
    const expected = ids((await generate(here, session, '', greedy)).tokens);
    expect(ids((await generate(here, back, '', greedy)).tokens)).toEqual(expected);
    expect(ids((await generate(there, over, '', greedy)).tokens)).toEqual(expected);
    await Promise.all([here.dispose(), there.dispose()]);
  }, 600_000);

test('a snapshot of one fixture is refused by every other', async () => {
  const engines = await Promise.all(FIXTURES.map((name) => loadFixtureEngine(name, wasm)));
  const saved = await Promise.all(
    engines.map(async (engine) => {
      const session = await open(engine);
      await engine.append(session, [1, 2, 3], handle());
      return snapshot(engine, session);
    }),
  );
  for (const [i, engine] of engines.entries())
    for (const [j, bytes] of saved.entries())
      if (i === j) await engine.restoreSession(handle(), bytes, {});
      else await rejects(engine.restoreSession(handle(), bytes, {}), 'STATE_MISMATCH');
  await Promise.all(engines.map((engine) => engine.dispose()));
});

test('another chunk and another maxContext: the same state', async () => {
  for (const name of ['rene-a', 'mamba2-a']) {
    const small = await loadFixtureEngine(name, wasm, { chunk: 4, maxContext: 128 });
    const large = await loadFixtureEngine(name, wasm, { chunk: 64, maxContext: 256 });
    const prompt = Array.from({ length: 90 }, (_, i) => (i * 7) % 60);
    const found: Uint8Array[] = [];
    for (const [from, to] of [
      [small, large],
      [large, small],
    ] as const) {
      const session = await open(from);
      await from.append(session, prompt, handle());
      const bytes = await snapshot(from, session);
      const copy = handle();
      await to.restoreSession(copy, bytes, {});
      expect(Buffer.compare(await snapshot(to, copy), bytes)).toBe(0);
      found.push(bytes);
    }
    expect(Buffer.compare(found[0]!, found[1]!)).toBe(0);
    await Promise.all([small.dispose(), large.dispose()]);
  }
});

test('every bit of a saved session of a model: refused', async () => {
  const engine = await loadFixtureEngine('mamba2-a', wasm);
  const session = await open(engine);
  await engine.append(session, [1, 2, 3, 4, 5], handle());
  const bytes = await snapshot(engine, session);
  const copy = handle();
  // All bits in the full run, one of each byte otherwise.
  for (let bit = 0; bit < 8 * bytes.length; bit += FULL ? 1 : 8 * 13 + 1) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const error = await engine.restoreSession(copy, bytes, {}).catch((error: { code: string }) => error);
    expect(['INVALID_FILE', 'STATE_MISMATCH']).toContain((error as { code: string } | undefined)?.code);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
  await engine.restoreSession(copy, bytes, {});
  await engine.dispose();
}, 600_000);

test('memory is flat over sessions and tokens', async () => {
  let memory: WebAssembly.Memory | undefined;
  const backend = variant('simd', {
    threaded: false,
    wrap: (parts) => {
      memory = parts.memory;
      return parts;
    },
  });
  const options = {
    maxHistory: 1000,
    checkpointEvery: 64,
    cacheBytes: 2 ** 18,
    checkpointBytes: 2 ** 18,
    spill: 2,
  };
  const engine = await loadFixtureEngine('mamba2-a', backend, options);
  const { totalBytes } = engine.info;
  const used = () => {
    globalThis.gc?.();
    return process.memoryUsage().arrayBuffers;
  };
  const [sessions, tokens] = FULL ? [1000, 1000] : [100, 1000];
  let warm = 0;
  for (let i = 0; i < sessions; i++) {
    const session = await open(engine);
    await generate(engine, session, [i % 90, 2, 3], { maxTokens: tokens, ignoreEos: true });
    const fork = handle();
    await engine.forkSession(session, fork);
    await engine.rewind(fork, { position: tokens - 100 }, handle());
    await engine.closeSession(session);
    await engine.closeSession(fork);
    if (i === 20) warm = used();
  }
  expect(memory!.buffer.byteLength).toBe(totalBytes);
  expect(engine.info.totalBytes).toBe(totalBytes);
  // Garbage aside, which is at most what a few checkpoints take.
  expect(used() - warm).toBeLessThan(globalThis.gc ? 2 ** 20 : 2 ** 26);
  expect(engine.stats()).toMatchObject({ sessions: 0, spilled: 0, checkpoints: { bytes: 0 } });
  await engine.dispose();
}, 1_200_000);
