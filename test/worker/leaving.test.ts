import { afterEach, describe, expect, test } from 'vitest';
import { EngineClient } from '../../src/api/client.ts';
import { Generation } from '../../src/api/generation.ts';
import { Lifetime } from '../../src/api/lifetime.ts';
import { EdgeError } from '../../src/errors.ts';
import type { EngineProtocol } from '../../workers/protocol.ts';
import { collect } from '../helpers/heap.ts';

const clients: EngineClient[] = [];
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

/** A generation of an engine that gives a token a burst, and then none; what it was told. */
function generation(tokens: number, signal?: AbortSignal) {
  const told: string[] = [];
  let given = 0;
  const engine: Partial<EngineProtocol> = {
    async startGeneration() {
      told.push('start');
    },
    nextBurst: async () => {
      if (given === tokens) await new Promise(() => {});
      given += 1;
      return { tokens: [{ id: given, text: 'x' }], end: null };
    },
    async stopGeneration(_, delivered) {
      told.push(`stop ${delivered}`);
    },
    abort() {},
    async dispose() {},
  };
  const client = EngineClient.inPlace(engine as EngineProtocol);
  clients.push(client);
  const life = new Lifetime();
  const session = { handle: 1, life, refresh: async () => {} };
  return { generation: new Generation(client, session, '', signal ? { signal } : {}), told, life, client };
}

const aborted = expect.objectContaining({ code: 'ABORTED' });

describe('result() settles when an iterator', () => {
  test('is returned before its first token: nothing was begun', async () => {
    const { generation: g, told } = generation(5);
    const iterator = g[Symbol.asyncIterator]();
    const result = g.result();
    expect(await iterator.return(undefined)).toEqual({ done: true, value: undefined });
    await expect(result).rejects.toEqual(aborted);
    await expect(g.result()).rejects.toEqual(aborted);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(told).toEqual([]);
  });

  test('belongs to a stream that is cancelled', async () => {
    const { generation: g, told } = generation(5);
    const from = (ReadableStream as unknown as { from(it: AsyncIterable<unknown>): ReadableStream }).from;
    await from.call(ReadableStream, g).cancel();
    await expect(g.result()).rejects.toEqual(aborted);
    expect(told).toEqual([]);
  });

  test.each([0, 2])('is dropped after %i tokens', async (count) => {
    const { generation: g, told } = generation(5);
    await (async () => {
      const iterator = g[Symbol.asyncIterator]();
      for (let i = 0; i < count; i++) await iterator.next();
    })();
    const result = g.result();
    let settled = false;
    result
      .catch(() => {})
      .finally(() => {
        settled = true;
      });
    for (let i = 0; i < 20 && !settled; i++) {
      await collect({ type: 'major', execution: 'async' });
      await new Promise((resolve) => setTimeout(resolve));
    }
    expect(settled).toBe(true);
    await expect(result).rejects.toEqual(aborted);
    expect(told).toEqual(count === 0 ? [] : ['start', `stop ${count}`]);
  });

  test('throws into it', async () => {
    const { generation: g, told } = generation(5);
    const iterator = g[Symbol.asyncIterator]();
    await iterator.next();
    const mine = new Error('mine');
    await expect(iterator.throw(mine)).rejects.toBe(mine);
    await expect(g.result()).rejects.toEqual(aborted);
    expect(told).toEqual(['start', 'stop 1']);
  });

  test('is returned while a token is waited for, which is done then', async () => {
    const { generation: g, told } = generation(1);
    const iterator = g[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = [iterator.next(), iterator.next()];
    await iterator.return(undefined);
    expect(await Promise.all(waiting)).toEqual(Array(2).fill({ done: true, value: undefined }));
    expect(told).toEqual(['start', 'stop 1']);
  });
});

describe('a loop that stands still in its body', () => {
  const stand = async (g: Generation) => {
    const iterator = g[Symbol.asyncIterator]();
    await iterator.next();
    return iterator;
  };

  test('hears an abort: the engine is told at once, with the tokens taken', async () => {
    const controller = new AbortController();
    const { generation: g, told } = generation(5, controller.signal);
    const iterator = await stand(g);
    controller.abort('enough');
    await expect(g.result()).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    expect(told).toEqual(['start', 'stop 1']);
    await expect(iterator.next()).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    expect(await iterator.next()).toEqual({ done: true, value: undefined }); // once
  });

  test.each(['session', 'model'])('hears the end of its %s', async (whose) => {
    const { generation: g, life, client } = generation(5);
    const iterator = await stand(g);
    if (whose === 'session') life.end(new EdgeError('CLOSED', 'The session was closed'));
    else await client.close();
    await expect(g.result()).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(iterator.next()).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
