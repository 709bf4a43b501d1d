import { expose, wrap } from 'comlink';
import { expect, onTestFinished, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import { wasmModule } from '../../src/runtime/node.ts';
import type { RemoteEngine } from '../../workers/protocol.ts';
import { EngineHost } from '../../workers/service.ts';
import { NANO } from './models.ts';

test('calls are handed on; large results give their buffers away', async () => {
  const loader = { progress: () => {}, readFile: async () => new ArrayBuffer(0), wasmModule };
  const host = new EngineHost(loader, () => [{ ...reference, name: 'wasm' }]);
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port1.close());
  expose(host, port1);
  const remote = wrap<EngineHost>(port2) as unknown as RemoteEngine;
  await expect(remote.stats()).rejects.toThrow('before it was loaded');
  const source = { kind: 'location', location: NANO, download: {} } as const;
  const { vocabSize } = await remote.load(source, { quantize: 'none', numerics: 'exact', backend: 'wasm' });

  const given: ArrayBufferView[] = [];
  // biome-ignore lint/complexity/useLiteralKeys: it is protected
  const engine = host['engine']!;
  const { logits, score } = engine;
  engine.logits = async (...args) => {
    const result = await logits.apply(engine, args);
    given.push(result);
    return result;
  };
  engine.score = async (...args) => {
    const result = await score.apply(engine, args);
    given.push(result.ids, result.logprobs);
    return result;
  };
  expect((await remote.logits([1, 2], 1, 1)).length).toBe(vocabSize);
  expect((await remote.score([1, 2], 2)).logprobs.length).toBe(2);
  expect(given.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
  expect(await remote.stats()).toMatchObject({ sessions: 0 });
  await remote.dispose();
});
