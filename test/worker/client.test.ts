import { expose, proxy } from 'comlink';
import { afterEach, describe, expect, test } from 'vitest';
import { EngineClient } from '../../src/api/client.ts';
import { EdgeError } from '../../src/errors.ts';
import type { WorkerHandle } from '../../src/runtime/host.types.ts';
import type { EngineProtocol, Loader } from '../../workers/protocol.ts';

const loader: Loader = {
  progress() {},
  readFile: async () => new ArrayBuffer(0),
  wasmModule: async () => new Uint8Array(0),
};
const ports: MessagePort[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

/** A client whose engine answers over a message channel, and a hand on its worker's life. */
function connect(engine: Partial<EngineProtocol>) {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  port1.start();
  expose(proxy(engine), port2);
  let die: ((cause: unknown) => void) | undefined;
  const kept: boolean[] = [];
  let terminated = 0;
  const worker: WorkerHandle = {
    endpoint: port1,
    onDeath: (listener) => {
      die = listener;
    },
    terminate: async () => {
      terminated++;
      die!(new Error('terminated'));
    },
    keepAlive: (alive) => kept.push(alive),
  };
  const client = EngineClient.inWorker(worker, loader);
  return { client, kept, die: (cause: unknown) => die!(cause), terminations: () => terminated };
}

const never = () => new Promise<never>(() => {});

describe('the client of an engine', () => {
  test('passes calls and results', async () => {
    const { client } = connect({ encode: async (text) => Int32Array.of(text.length, 2) });
    expect(await client.call((engine) => engine.encode('four'))).toEqual(Int32Array.of(4, 2));
  });

  test('close keeps the process until the worker has ended, whatever was under way', async () => {
    let answer!: () => void;
    const { client, kept } = connect({
      abort: () =>
        new Promise<void>((resolve) => {
          answer = resolve;
        }),
    });
    const call = client.call((engine) => engine.abort(1));
    while (answer === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    const closed = client.close();
    answer();
    await expect(call).rejects.toMatchObject({ code: 'CLOSED' });
    await closed;
    await new Promise((resolve) => setTimeout(resolve, 20)); // the answer comes
    expect(kept.at(-1)).toBe(true);
  });

  test('typed errors arrive as they were thrown', async () => {
    const { client } = connect({
      encode() {
        throw new EdgeError('NO_TOKENIZER', 'ids only', {
          cause: new EdgeError('NOT_FOUND', 'tokenizer.json'),
        });
      },
    });
    const error = await client.call((engine) => engine.encode('')).catch((e: unknown) => e as EdgeError);
    expect(error).toBeInstanceOf(EdgeError);
    expect(error).toMatchObject({ code: 'NO_TOKENIZER', message: 'ids only', cause: { code: 'NOT_FOUND' } });
  });

  test('other errors are defects', async () => {
    const { client } = connect({
      decode() {
        throw new TypeError('oops');
      },
    });
    await expect(client.call((engine) => engine.decode(new Int32Array(0)))).rejects.toMatchObject({
      code: 'INTERNAL',
      cause: { message: 'oops' },
    });
  });

  test('arguments that cannot be cloned are refused', async () => {
    const { client } = connect({ encode: async () => new Int32Array(0) });
    const text = (() => 'no text') as unknown as string;
    await expect(client.call((engine) => engine.encode(text))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await client.call((engine) => engine.encode(''))).toEqual(new Int32Array(0));
  });

  test('a dead worker rejects every pending call, and later ones', async () => {
    const { client, die } = connect({ selfTest: never, encode: never });
    const pending = [client.call((engine) => engine.selfTest()), client.call((engine) => engine.encode(''))];
    const cause = new Error('exit code 9');
    die(cause);
    for (const call of [...pending, client.call((engine) => engine.encode(''))])
      await expect(call).rejects.toMatchObject({
        code: 'WORKER_DIED',
        message: expect.stringContaining('exit code 9'),
        cause,
      });
  });

  test('close rejects what is pending, terminates once, and is harmless again', async () => {
    const { client, terminations } = connect({ selfTest: never });
    const pending = client.call((engine) => engine.selfTest());
    const closed = expect(pending).rejects.toMatchObject({ code: 'CLOSED' });
    await Promise.all([client.close(), client.close()]);
    await client.close();
    await closed;
    expect(terminations()).toBe(1);
    await expect(client.call((engine) => engine.selfTest())).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('closing after death stays quiet', async () => {
    const { client, die, terminations } = connect({});
    die(new Error('gone'));
    await client.close();
    expect(terminations()).toBe(0);
  });

  test('the worker keeps the process alive exactly while a call is pending', async () => {
    let answer: (ids: Int32Array) => void = () => {};
    const { client, kept } = connect({
      encode: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
      decode: async () => '',
    });
    const call = client.call((engine) => engine.encode(''));
    await client.call((engine) => engine.decode(new Int32Array(0)));
    expect(kept).toEqual([false, true]);
    answer(new Int32Array(0));
    await call;
    expect(kept).toEqual([false, true, false]);
  });

  test('a signal aborts the call under its own handle, with its reason', async () => {
    const rejects = new Map<number, (error: unknown) => void>();
    const { client } = connect({
      score: (_, call) => new Promise((_resolve, reject) => rejects.set(call, reject)),
      abort: (call) => rejects.get(call)?.(new EdgeError('ABORTED', 'aborted')),
    });
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [first, second].map(({ signal }) =>
      client.abortable(signal, (engine, call) => engine.score('', call)),
    );
    const reason = new Error('changed my mind');
    second.abort(reason);
    await expect(calls[1]).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
    expect(rejects.size).toBe(2);
    first.abort();
    await expect(calls[0]).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('an aborted signal calls nothing', async () => {
    let called = false;
    const { client } = connect({});
    const call = client.abortable(AbortSignal.abort('no'), async () => {
      called = true;
    });
    await expect(call).rejects.toMatchObject({ code: 'ABORTED', cause: 'no' });
    expect(called).toBe(false);
  });

  test('in place, calls reach the engine itself', async () => {
    let disposed = 0;
    const engine = {
      decode: () => 'text',
      dispose: async () => {
        disposed++;
      },
    } as unknown as EngineProtocol;
    const client = EngineClient.inPlace(engine);
    expect(await client.call((remote) => remote.decode(new Int32Array(0)))).toBe('text');
    await client.close();
    await client.close();
    expect(disposed).toBe(1);
  });
});
