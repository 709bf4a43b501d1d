import { describe, expect, test } from 'vitest';
import { generate, handle, ids, open } from '../engine/drive.ts';
import { variant } from '../wasm/host.ts';
import { counted } from './counted.ts';
import { loadFixtureEngine, snapshot } from './operations.ts';

const wasm = variant('simd', { threaded: false });

const tokens = (length: number, seed = 0) =>
  Array.from({ length }, (_, i) => (i * 7 + seed * 13 + i * i * seed) % 90);
const greedy = { maxTokens: 8, ignoreEos: true };

describe('the prefix cache', () => {
  test('goes on from the longest stored prefix, also within a chunk: same tokens, fewer rows', async () => {
    const { backend, count, clear } = counted();
    const plain = await loadFixtureEngine('mamba2-a', backend);
    const cached = await loadFixtureEngine('mamba2-a', backend, { cacheBytes: 2 ** 20 });
    const [system, question, other] = [tokens(53), tokens(20, 1), tokens(30, 2)];
    const ask = async (prompt: number[]) => {
      const expected = ids((await generate(plain, null, prompt, greedy)).tokens);
      clear();
      const found = await generate(cached, null, prompt, greedy);
      expect(ids(found.tokens)).toEqual(expected);
      const rows = count.rows - (greedy.maxTokens - 1); // prefill
      expect(found.usage).toMatchObject({ promptTokens: prompt.length, cachedTokens: prompt.length - rows });
      return rows;
    };
    expect(await ask([...system, ...question])).toBe(73);
    expect(await ask([...system, ...question])).toBe(1); // all but the last
    expect(await ask([...system, ...other])).toBe(83); // nothing is stored where they part: now it is
    expect(await ask([...system, ...tokens(40, 3)])).toBe(40); // 53 is no multiple of the chunk, 16
    expect(await ask([...system, ...other, ...tokens(5, 4)])).toBe(6); // goes on from what was asked before
    expect(cached.stats().prefixCache).toMatchObject({ hits: 3, misses: 2, reusedTokens: 72 + 53 + 82 });
    expect(plain.stats().prefixCache).toBeNull();
    await Promise.all([plain.dispose(), cached.dispose()]);
  });

  test('keeps prefixes of 16 tokens and more', async () => {
    const cached = await loadFixtureEngine('mamba2-a', wasm, { cacheBytes: 2 ** 20 });
    const ask = async (length: number) => {
      const { usage } = await generate(cached, null, tokens(length, length), greedy);
      return usage.cachedTokens;
    };
    expect([await ask(16), await ask(16)]).toEqual([0, 0]); // 15, and the last
    expect([await ask(17), await ask(17)]).toEqual([0, 16]);
    const session = await open(cached);
    const first = await generate(cached, session, tokens(17, 17), greedy);
    const second = await generate(cached, session, tokens(17, 17), greedy); // a turn: nothing of it was run before
    expect([first.usage.cachedTokens, second.usage.cachedTokens]).toEqual([16, 0]);
    await cached.dispose();
  });

  test('is shared by sessions and stays within its budget', async () => {
    const engine = await loadFixtureEngine('mamba2-a', wasm);
    const { slotBytes } = engine.info;
    await engine.dispose();
    const cached = await loadFixtureEngine('mamba2-a', wasm, { cacheBytes: 3 * slotBytes + 3000 });
    for (let i = 0; i < 20; i++) {
      const session = await open(cached);
      await cached.append(session, tokens(40, i % 5), handle());
      await cached.closeSession(session);
      const { entries, bytes, maxBytes } = cached.stats().prefixCache!;
      expect(bytes).toBeLessThanOrEqual(maxBytes);
      expect(entries).toBeLessThanOrEqual(3);
    }
    expect(cached.stats().prefixCache!.evictions).toBeGreaterThan(0);
    const [a, b] = [await open(cached), await open(cached)];
    await cached.append(a, tokens(40, 1), handle());
    const { hits } = cached.stats().prefixCache!;
    await cached.append(b, tokens(40, 1), handle());
    expect(cached.stats().prefixCache!.hits).toBe(hits + 1);
    expect(await snapshot(cached, b)).toEqual(await snapshot(cached, a));
    await cached.dispose();
  });
});
