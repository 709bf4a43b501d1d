import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Downloads } from '../../src/io/download.ts';
import { expectError } from '../weights/files.ts';
import { data, digest, type Fault, Hub, readAll, SIZE } from './hub_server.ts';

const hub = new Hub();

const heal = (status: number, times: number, more: Record<string, string> = {}): Fault => {
  let left = times;
  return (_, response) => {
    left -= 1;
    if (left < 0) return false;
    response.writeHead(status, more).end();
    return true;
  };
};

test.each([
  [429, { 'retry-after': '0' }],
  [503, {}],
  [500, {}],
] as const)('answering %i, they are asked again, but not for ever', async (status, headers) => {
  hub.fault = heal(status, 2, headers);
  const source = await hub.open(hub.set({ cache: false }));
  await readAll(source);
  hub.seen = [];
  hub.fault = heal(status, 1000, headers);
  await expectError(() => hub.open(), 'NETWORK', new RegExp(String(status)));
  expect(hub.seen.length).toBe(4);
});

test('what they cut off is asked for from there on', async () => {
  let cuts = 0;
  hub.fault = ({ path, begin }, response, [first, last]) => {
    if (!path.startsWith('/cdn') || begin === 0 || cuts++ > 6) return false;
    response.writeHead(206, {
      etag: hub.etag,
      'content-range': `bytes ${first}-${last}/${SIZE}`,
      'content-length': last - first + 1,
    });
    response.write(data.subarray(first, first + 1000), () => response.destroy());
    return true;
  };
  await readAll(await hub.open());
  expect(cuts).toBeGreaterThan(6);
});

describe('on a clock of its own', () => {
  const url = 'https://files.example/model.gguf';
  const open = () => new Downloads({ cache: false }, { retries: 3 }).open(url);

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), ms);
      return controller.signal;
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  /** Answers of a server without a network between, and thus without a delay that the clock would not know. */
  function answers(answer: (first: number, last: number, signal: AbortSignal) => Promise<BodyInit>): void {
    vi.stubGlobal('fetch', async (_: string, { headers, signal }: RequestInit) => {
      const { Range = '' } = headers as Record<string, string>;
      const [first, last] = Range.slice(6).split('-').map(Number) as [number, number];
      const end = Math.min(last, SIZE - 1);
      const body = await answer(first, end, signal!);
      const range = `bytes ${first}-${end}/${SIZE}`;
      return new Response(body, { status: 206, headers: { etag: '"1"', 'content-range': range } });
    });
  }

  /** Lets the clock run until `promise` settles. */
  async function running<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    promise
      .catch(() => {})
      .finally(() => {
        settled = true;
      });
    while (!settled) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!settled) await vi.advanceTimersToNextTimerAsync();
    }
    return promise;
  }

  test('a transfer that stalls is given up, and tried again', async () => {
    let stalls = 0;
    answers(async (first, last) => {
      if (first === 0 || stalls++ > 1) return data.slice(first, last + 1);
      return new ReadableStream({ start: (body) => body.enqueue(data.slice(first, first + 10)) });
    });
    const source = await running(open());
    await running(readAll(source!));
    expect(stalls).toBeGreaterThan(2);
  });

  test('a server that says nothing at all is given up', async () => {
    let asked = 0;
    answers((_first, _last, signal) => {
      asked += 1;
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('over'))));
    });
    await running(expectError(open, 'NETWORK', /no answer within 30000 ms/));
    expect(asked).toBe(4);
  });
});

test('a file that changes midway is refused', async () => {
  const source = await hub.open();
  hub.etag = '"two"';
  await expectError(() => source.read(2 ** 21, 10), 'NETWORK', /changed the file/);
  await source.close();
  expect(await hub.cache.list()).toEqual([]);
});

test('a file without the checksum that the hub tells is not kept', async () => {
  hub.sha256 = 'ab'.repeat(32);
  const source = await hub.open();
  await readAll(source);
  await expectError(() => source.close(), 'NETWORK', /SHA-256/, /not kept/);
  expect(await hub.cache.list()).toEqual([]);
  hub.sha256 = digest;
  const honest = await hub.open();
  await readAll(honest);
  await honest.close();
  expect(await hub.cache.list()).toMatchObject([{ sha256: digest }]);
});

test.each(['file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:,x'])(
  'redirects to %s lead nowhere',
  async (location) => {
    hub.fault = ({ path }, response) => {
      if (!path.endsWith('config.json')) return false;
      response.writeHead(302, { location }).end();
      return true;
    };
    await expectError(() => hub.open(hub.set(), 'config.json'), 'NETWORK', /config\.json/);
  },
);

test('an abort ends it, and fetches no more', async () => {
  const controller = new AbortController();
  const source = (await hub.set().open('model.gguf', controller.signal))!;
  await source.read(0, 2 ** 20, controller.signal);
  hub.fault = () => true;
  const reading = source.read(15 * 2 ** 20, 2 ** 20, controller.signal);
  setTimeout(() => controller.abort(), 30);
  await expectError(() => reading, 'ABORTED');
  const before = hub.seen.length;
  await source.close();
  expect(hub.seen.length).toBe(before);
});
