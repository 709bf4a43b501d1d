import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { addressOf } from '../../src/backends/wasm/memory.ts';
import { detectMemory64 } from '../../src/backends/wasm/variants.ts';
import { missing, runtimeBinary } from '../helpers/provided.ts';
import { quant } from '../helpers/tensors.ts';
import { openFixture } from '../models/golden.ts';
import { runParity } from '../ops/parity.ts';
import { bitsOf, modesOf, samples } from './bits.ts';
import { variant } from './host.ts';

const GIB = 2 ** 30;
/** Weights, states, activations and scratch lie above 4 GiB; what is left out below them is never touched. */
const lifted = variant('relaxed', { memory64: true, lift: 4.5 * GIB });

test('addresses reach 16 GiB in 32 bits, exactly', () => {
  for (const offset of [0, 4, 4 * GIB - 4, 4 * GIB, 5 * GIB + 12, 16 * GIB - 4]) {
    const [word] = Uint32Array.of(addressOf(offset));
    expect(word! * 4).toBe(offset);
  }
  for (const offset of [2, -4, 4 * GIB + 1, 16 * GIB]) expect(() => addressOf(offset)).toThrow(/multiple/);
});

test('what no memory can hold is refused with the numbers', async () => {
  const backend = variant('relaxed', { lift: 16 * GIB });
  const error = await openFixture(backend, 'nano').catch((cause: Error) => cause);
  expect(error).toMatchObject({ code: 'OUT_OF_MEMORY' });
  const { message } = error as Error;
  expect(message).toMatch(/needs 1718\d{7} bytes/);
  expect(message).toContain(`holds ${(detectMemory64() ? 16 : 4) * GIB}`);
  expect(message.includes('none of 64-bit addresses')).toBe(!detectMemory64());
});

if (detectMemory64()) {
  runParity(lifted, { label: 'wasm memory64, above 4 GiB', required: true });
  runParity(variant('relaxed', { memory64: true }), {
    label: 'wasm memory64, 3 threads',
    threads: 3,
    numerics: ['i8'],
    ops: ['norm_linear'],
    required: true,
  });

  describe('bits above 4 GiB are those below', () => {
    const options = { slots: 3, chunk: 64 };
    for (const name of ['nano', 'rene-a', 'mamba2-a']) {
      test.each(modesOf(name))(`${name}: $numerics %#`, async (mode) => {
        const seen = [];
        for (const backend of [variant('relaxed', { memory64: false }), lifted])
          for (const threads of [1, 2]) {
            const model = await openFixture(backend, name, { ...options, ...mode, threads });
            const { info, memory } = model.executor;
            expect(info.threads).toBe(threads);
            expect(info.variant.includes('memory64')).toBe(backend === lifted);
            if (backend === lifted) expect(memory.totalBytes).toBeGreaterThan(4.5 * GIB);
            for (const cut of [64, 3]) seen.push(await bitsOf(model, cut));
            await model.executor.dispose();
          }
        for (const found of seen) expect(found).toEqual(seen[0]);
      });

      test(`${name}: sampling`, async () => {
        const seen = [];
        for (const backend of [variant('relaxed', { memory64: false }), lifted]) {
          const mode = { format: quant(8, 64), numerics: 'exact' as const, threads: 2 };
          const model = await openFixture(backend, name, { ...options, ...mode });
          seen.push(await samples(model));
          await model.executor.dispose();
        }
        expect(seen[1]).toEqual(seen[0]);
      });
    }
  });
} else
  test('on Node 24, which has memory64', async (context) => {
    const obstacle = missing('node-24');
    if (obstacle) context.skip(`SKIP: ${obstacle}`);
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const self = fileURLToPath(import.meta.url);
    const vitest = `${root}node_modules/vitest/vitest.mjs`;
    const { stdout } = await promisify(execFile)(
      runtimeBinary('node-24'),
      [vitest, 'run', '--reporter=json', '--maxWorkers=1', self],
      { cwd: root, maxBuffer: 2 ** 26, env: { ...process.env, VITEST: undefined } },
    ).catch((error: { stdout: string }) => error);
    const report = JSON.parse(stdout.slice(stdout.indexOf('{"')));
    const failures = report.testResults.flatMap(
      ({ assertionResults: results }: { assertionResults: Result[] }) =>
        results.filter(({ status }) => status !== 'passed'),
    );
    expect(failures).toEqual([]);
    expect(report.numPassedTests).toBeGreaterThan(60);
  }, 300_000);

interface Result {
  status: string;
  fullName: string;
  failureMessages: string[];
}
