import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type EdgeError, type LoadOptions, load, type Progress } from '../../src/index.ts';
import { greedy, loadNano, NANO } from './models.ts';

const FILES = ['config.json', 'model.safetensors', 'tokenizer.json'];
let expected: number[];
let server: Server;
let base: string;

beforeAll(async () => {
  const model = await load(NANO, { threads: 1 });
  expected = await greedy(model, 12);
  await model.dispose();
  server = createServer(async (request, response) => {
    const name = basename(new URL(request.url!, 'http://localhost').pathname);
    if (name === 'slow.safetensors') return; // never answers
    const bytes = FILES.includes(name) ? await readFile(join(NANO, name)) : null;
    response.writeHead(bytes ? 200 : 404, { 'content-length': bytes?.length ?? 0 });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Threads that this process has started and that still run. */
async function workersDuring(run: () => Promise<unknown>): Promise<Worker[]> {
  const started: Worker[] = [];
  const listen = (worker: Worker) => started.push(worker);
  process.on('worker', listen);
  await run();
  process.off('worker', listen);
  return started.filter((worker) => worker.threadId >= 0);
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: EdgeError) => error.code,
  );

describe('sources', () => {
  test('the embedded model', async () => {
    const model = await load('tiny', { threads: 1 });
    expect(model.info).toMatchObject({ name: 'tiny', architecture: 'rene', hasTokenizer: true });
    expect(model.info.generationDefaults).toEqual({ repetitionPenalty: 1.2 });
    await model.dispose();
  });

  const blob = (name: string, type: 'file' | 'blob') =>
    openAsBlob(join(NANO, name)).then((b) => (type === 'file' ? new File([b], name) : b));
  test.each<[string, () => Promise<Parameters<typeof load>[0]>]>([
    ['a file', async () => join(NANO, 'model.safetensors')],
    ['a file: URL', async () => pathToFileURL(`${NANO}/`)],
    ['an http URL', async () => new URL(`${base}/nano/`)],
    ['an http URL as text', async () => `${base}/nano/model.safetensors`],
    ['Files', () => Promise.all(FILES.map((name) => blob(name, 'file') as Promise<File>))],
  ])('%s gives the same tokens as the folder', async (_, source) => {
    const model = await load(await source(), { threads: 1 });
    expect(await greedy(model, 12)).toEqual(expected);
    await model.dispose();
  });

  test('a Blob alone lacks its config', async () => {
    await expect(load(await blob('model.safetensors', 'blob'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('config.json'),
    });
  });

  test.each<[string, unknown, string]>([
    ['', '', 'INVALID_ARGUMENT'],
    ['no list', [], 'INVALID_ARGUMENT'],
    ['a number', 7, 'INVALID_ARGUMENT'],
    ['null', null, 'INVALID_ARGUMENT'],
    ['strings in a list', ['tiny'], 'INVALID_ARGUMENT'],
    ['an absent folder', join(NANO, 'absent'), 'NOT_FOUND'],
    ['an absent URL', 'http://127.0.0.1:1/model/', 'NETWORK'],
    ['an unknown scheme', 'ftp://host/model', 'INVALID_ARGUMENT'],
  ])('%s is refused', async (_, source, code) => {
    let found = '';
    const left = await workersDuring(async () => {
      found = await codeOf(load(source as string));
    });
    expect(found).toBe(code);
    expect(left).toEqual([]);
  });
});

describe('options', () => {
  test.each<[string, object]>([
    ['an unknown one', { thread: 2 }],
    ['a backend that there is not', { backend: 'cuda' }],
    ['NaN', { threads: Number.NaN }],
    ['a negative budget', { memoryBudget: -1 }],
    ['a function', { chunk: () => 1 }],
  ])('%s: INVALID_ARGUMENT', async (_, options) => {
    const left = await workersDuring(async () => {
      expect(await codeOf(load(NANO, options as LoadOptions))).toBe('INVALID_ARGUMENT');
    });
    expect(left).toEqual([]);
  });

  test('a budget that is too small: OUT_OF_MEMORY', async () => {
    expect(await codeOf(load(NANO, { memoryBudget: 1000 }))).toBe('OUT_OF_MEMORY');
  });

  test('a backend that cannot run here: UNSUPPORTED_BACKEND', async () => {
    expect(await codeOf(load(NANO, { backend: 'metal' }))).toBe('UNSUPPORTED_BACKEND');
  });

  test('a worker script that is not there: WORKER_DIED, naming it', async () => {
    const workerUrl = pathToFileURL(join(NANO, 'absent.js'));
    await expect(load(NANO, { workerUrl })).rejects.toMatchObject({
      code: 'WORKER_DIED',
      message: expect.stringContaining('absent.js'),
    });
  });

  describe('a worker script that never answers', () => {
    const workerUrl = new URL('data:text/javascript,setInterval(() => {}, 1000)');

    test('is given up: WORKER_DIED, which says what to look at', async () => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      try {
        const left = await workersDuring(async () => {
          const loading = load(NANO, { workerUrl }).catch((error: EdgeError) => error);
          for (let looks = 0; looks < 3; looks++) {
            await new Promise((resolve) => setTimeout(resolve)); // it is started
            vi.advanceTimersByTime(10_000);
          }
          const error = await loading;
          expect(error).toMatchObject({ code: 'WORKER_DIED' });
          expect((error as EdgeError).message).toMatch(
            /not said a word for 30 seconds.*workerUrl.*MIME.*Content-Security/,
          );
        });
        expect(left).toEqual([]);
      } finally {
        vi.useRealTimers();
      }
    });

    test('is not waited for once the signal aborts', async () => {
      const left = await workersDuring(async () => {
        expect(await codeOf(load(NANO, { workerUrl, signal: AbortSignal.timeout(50) }))).toBe('ABORTED');
      });
      expect(left).toEqual([]);
    });
  });

  test('in place: the same tokens, and no thread is started', async () => {
    const left = await workersDuring(async () => {
      const model = await loadNano({ worker: false });
      expect(await greedy(model, 12)).toEqual(expected);
    });
    expect(left).toEqual([]);
  });

  test('a team of threads: the same tokens', async () => {
    const model = await loadNano({ threads: 2 });
    expect(model.info.threads).toBe(2);
    expect(await greedy(model, 12)).toEqual(expected);
  });
});

describe('progress', () => {
  test.each([true, false])('stages and bytes, worker: %s', async (worker) => {
    const seen: Progress[] = [];
    const model = await loadNano({ worker, onProgress: (progress) => seen.push(progress) });
    const stages = seen.map(({ stage }) => stage);
    expect(stages[0]).toBe('open');
    expect(stages.at(-1)).toBe('ready');
    expect(stages.slice(1, -1).every((stage) => stage === 'weights')).toBe(true);
    const weights = seen.filter(({ stage }) => stage === 'weights');
    expect(weights.map(({ loaded }) => loaded)).toEqual(
      weights.map(({ loaded }) => loaded).sort((a, b) => a - b),
    );
    expect(seen.at(-1)).toEqual({
      stage: 'ready',
      loaded: seen.at(-1)!.total,
      total: expect.any(Number),
      remainingMs: 0,
    });
    expect(model.info.weightBytes).toBeGreaterThan(0);
  });

  test.each([true, false])(
    'a listener that throws ends the load with its error, worker: %s',
    async (worker) => {
      const mine = new Error('mine');
      const left = await workersDuring(async () => {
        const onProgress = () => {
          throw mine;
        };
        await expect(load(NANO, { worker, onProgress })).rejects.toBe(mine);
      });
      expect(left).toEqual([]);
    },
  );
});

describe('aborting a load', () => {
  test.each([true, false])('before it starts, worker: %s', async (worker) => {
    const reason = new Error('not now');
    await expect(load(NANO, { worker, signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ABORTED',
      cause: reason,
    });
  });

  test.each([true, false])('while it reads, worker: %s', async (worker) => {
    const controller = new AbortController();
    const left = await workersDuring(async () => {
      const loading = load(NANO, {
        worker,
        signal: controller.signal,
        onProgress: ({ stage }) => stage === 'weights' && controller.abort('enough'),
      });
      await expect(loading).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    });
    expect(left).toEqual([]);
  });

  test('while a server keeps it waiting', async () => {
    const controller = new AbortController();
    const left = await workersDuring(async () => {
      const loading = load(`${base}/slow.safetensors`, { signal: controller.signal });
      setTimeout(() => controller.abort(), 50);
      expect(await codeOf(loading)).toBe('ABORTED');
    });
    expect(left).toEqual([]);
  });
});
