import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const smoke = fileURLToPath(new URL('../../models/train/smoke.py', import.meta.url));
const SKIPPED = 77; // smoke.py's exit code where PyTorch or another of its packages is not installed

describe('training recipe', () => {
  test('data, training, resuming, two processes, export on a small made-up text', {
    timeout: 300_000,
  }, (context) => {
    const run = spawnSync(process.env.PYTHON ?? 'python3', [smoke], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    });
    if (run.error) return context.skip(`SKIP: no python3 (${run.error.message})`);
    if (run.status === SKIPPED) return context.skip(run.stdout.trim());
    expect(`${run.stdout}${run.stderr}`).toContain('smoke run passed');
    expect(run.status).toBe(0);
  });
});
