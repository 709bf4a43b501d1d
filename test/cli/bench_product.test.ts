import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);

test('npm run bench -- --quick: every op and the embedded model, as a table and as JSON', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-bench-test-'));
  const json = join(folder, 'result.json');
  const { stdout } = await run(process.execPath, ['bench/main.mjs', '--quick', '--json', json], {
    timeout: 230_000,
  });
  expect(stdout).toContain('tiny, q4_0, i8, 2 threads');
  const result = JSON.parse(readFileSync(json, 'utf8'));
  rmSync(folder, { recursive: true });
  expect(Object.keys(result)).toEqual(
    expect.arrayContaining(['date', 'device', 'runtime', 'commit', 'command', 'ops', 'models']),
  );
  expect(result.models.map((entry: { threads: string }) => entry.threads)).toEqual(['1', '2']);
  for (const { decode, prefill } of result.ops) {
    const names = decode.ops.map(({ op }: { op: string }) => op).sort();
    expect(names).toEqual(
      'activation conv1d embed gate_norm linear_residual logits norm_linear sample ssd_scan window_attention'.split(
        ' ',
      ),
    );
    expect(prefill.rows).toBe(64);
    expect(decode.bandwidth).toBeGreaterThan(0);
    for (const { ms } of decode.ops) expect(ms).toBeGreaterThanOrEqual(0);
  }
  const { calls } = result.models.at(-1);
  for (const call of ['logits', 'generate', 'append', 'append, second turn', 'generate, prefix cache'])
    for (const length of [16, 64]) expect(calls[call][length]).toBeGreaterThan(0);
  for (const { rows } of result.models)
    for (const name of ['load ms', 'prefill tok/s', 'decode tok/s']) expect(rows[0][name]).toBeGreaterThan(0);
}, 240_000);
