import { describe, expect, test } from 'vitest';
import { Intake } from '../../src/api/intake.ts';
import { Lifetime } from '../../src/api/lifetime.ts';
import { EdgeError } from '../../src/errors.ts';

/** A source that is fed by hand, and what happened to it. */
function source() {
  const waiting: ((result: IteratorResult<string>) => void)[] = [];
  const given: IteratorResult<string>[] = [];
  const seen = { asked: 0, returned: 0 };
  const give = (result: IteratorResult<string>) => {
    const wake = waiting.shift();
    if (wake) wake(result);
    else given.push(result);
  };
  const stream: AsyncIterable<string> = {
    [Symbol.asyncIterator]: () => ({
      next() {
        seen.asked += 1;
        const result = given.shift();
        return result ? Promise.resolve(result) : new Promise((resolve) => waiting.push(resolve));
      },
      return() {
        seen.returned += 1;
        return new Promise(() => {}); // never hears it
      },
    }),
  };
  return {
    stream,
    seen,
    give: (value: string) => give({ done: false, value }),
    end: () => give({ done: true, value: undefined }),
  };
}

/** What was consumed, as it is. */
function consumer() {
  const pieces: string[] = [];
  let release: (() => void) | null = null;
  const hold = { on: false, end: (_: unknown) => {} };
  const consume = async (piece: string | Int32Array) => {
    if (hold.on)
      await new Promise<void>((resolve, reject) => {
        release = resolve;
        hold.end = reject;
      });
    pieces.push(piece as string);
  };
  return { pieces, consume, hold, release: () => release?.() };
}

const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve));
};

describe('text of a stream', () => {
  test('is consumed as it comes, up to the last space between words; the rest at its end', async () => {
    const { stream, give, end, seen } = source();
    const { pieces, consume } = consumer();
    const run = new Intake(stream, consume).run({ signal: undefined, lives: [] });
    give('Once upon a ti');
    await turns();
    expect(pieces).toEqual(['Once upon a']);
    give('me');
    await turns();
    expect(pieces).toHaveLength(1);
    give(' there');
    await turns();
    expect(pieces).toEqual(['Once upon a', ' time']);
    end();
    await run;
    expect(pieces).toEqual(['Once upon a', ' time', ' there']);
    expect(seen.returned).toBe(0);
  });

  test('is gathered up while a piece is consumed, so far', async () => {
    const { stream, give, seen } = source();
    const { pieces, consume, hold, release } = consumer();
    const life = new Lifetime();
    hold.on = true;
    const run = new Intake(stream, consume).run({ signal: undefined, lives: [life] });
    for (let i = 0; i < 3000; i++) give(' dog');
    await turns();
    expect(pieces).toEqual([]);
    expect(seen.asked).toBeLessThan(1100); // 4,096 characters ahead
    for (let i = 0; i < 8; i++) {
      release();
      await turns();
    }
    expect(pieces.join('').length).toBeGreaterThan(11_000);
    expect(pieces.length).toBeLessThan(10);
    life.end(new EdgeError('CLOSED', 'closed'));
    await expect(run).rejects.toMatchObject({ code: 'CLOSED', unconsumed: [' dog'] });
    expect(seen.returned).toBe(1);
  });

  test.each([
    ['Chinese', '我们今天去公园玩了很久。'],
    ['newlines', '\n'],
    ['no words', '....'],
  ])(
    'without a space between two words (%s) is asked for until there is enough to cut it anyway',
    async (_, part) => {
      const { stream, give, end, seen } = source();
      const { pieces, consume } = consumer();
      const run = new Intake(stream, consume).run({ signal: undefined, lives: [] });
      const text = part.repeat(Math.ceil(100_000 / part.length));
      for (let i = 0; i < text.length; i += 1000) give(text.slice(i, i + 1000));
      await turns();
      expect(seen.asked).toBeGreaterThan(100);
      expect(pieces.length).toBeGreaterThan(0);
      end();
      await run;
      expect(pieces.join('')).toBe(text);
    },
  );

  test('an abort while it is quiet consumes what waited', async () => {
    const { stream, give, seen } = source();
    const { pieces, consume } = consumer();
    const abort = new AbortController();
    const run = new Intake(stream, consume).run({ signal: abort.signal, lives: [] });
    give('Once upon');
    await turns();
    abort.abort('enough');
    await expect(run).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough', unconsumed: [] });
    expect(pieces).toEqual(['Once', ' upon']);
    expect(seen.returned).toBe(1);
  });

  test('an abort during a piece hands back that piece and what was gathered behind it', async () => {
    const { stream, give } = source();
    const { pieces, consume, hold } = consumer();
    const abort = new AbortController();
    const run = new Intake(stream, consume).run({ signal: abort.signal, lives: [] });
    hold.on = true;
    give('Once upon');
    give(' a time');
    await turns();
    abort.abort('enough');
    hold.end(new EdgeError('ABORTED', 'aborted', { cause: 'enough' })); // as the engine would
    await expect(run).rejects.toMatchObject({ code: 'ABORTED', unconsumed: ['Once', ' upon a time'] });
    expect(pieces).toEqual([]);
  });

  test('what a source gave before it failed is consumed; its error passes', async () => {
    const mine = new Error('mine');
    const { pieces, consume } = consumer();
    async function* failing() {
      yield 'Once upon';
      throw mine;
    }
    await expect(new Intake(failing(), consume).run({ signal: undefined, lives: [] })).rejects.toBe(mine);
    expect(pieces.join('')).toBe('Once upon');
  });
});

describe('what a stream gives that is no part of a prompt', () => {
  const ends = { signal: undefined, lives: [] };

  test.each([2 ** 32 + 5, 5.5, Number.NaN, '7', null, true, undefined, 7n])(
    'an id %s is refused, not rounded to another; the stream is told, and what came before is consumed',
    async (id) => {
      const seen = { returned: false };
      async function* stream() {
        try {
          yield [5, 6];
          yield [7, id] as number[];
        } finally {
          seen.returned = true;
        }
      }
      const pieces: unknown[] = [];
      const run = new Intake(stream(), async (piece) => void pieces.push(...piece)).run(ends);
      await expect(run).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', unconsumed: [] });
      expect(pieces).toEqual([5, 6]);
      await turns();
      expect(seen.returned).toBe(true);
    },
  );
});
