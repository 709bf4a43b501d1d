import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Parts } from '../../src/backends/wasm/executor.ts';
import type { Region } from '../../src/backends/wasm/memory.ts';

const wasm = fileURLToPath(new URL('../../wasm', import.meta.url));

/** A step as it went into the scalar module, and the memory that it left. */
export interface RecordedStep {
  before: Uint8Array;
  after: Uint8Array;
  regions: readonly Region[];
  arguments: readonly [pool: number, step: number];
}

/** Records every step of an executor. */
export function recordSteps(steps: RecordedStep[]): (parts: Parts) => Parts {
  return (parts) => ({
    ...parts,
    kernels: {
      ...parts.kernels,
      step(...args) {
        const before = new Uint8Array(parts.memory.buffer).slice();
        const result = parts.kernels.step(...args);
        const after = new Uint8Array(parts.memory.buffer).slice();
        steps.push({ before, after, regions: parts.layout.regions, arguments: args });
        return result;
      },
    },
  });
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sources(path);
    return entry.name.endsWith('.c') ? [path] : [];
  });
}

/** The kernels, compiled with address and undefined-behaviour sanitizers. */
export class NativeRunner {
  private readonly folder = mkdtempSync(join(tmpdir(), 'edge-native-'));
  readonly obstacle: string | null;

  constructor() {
    this.obstacle = ['clang', 'clang-19', 'gcc'].every((cc) => !this.compile(cc))
      ? 'no C compiler with address and undefined-behaviour sanitizers (clang or gcc)'
      : null;
  }

  private compile(cc: string): boolean {
    // -O0: the inlined vectors of plain C take gcc minutes to optimize.
    const flags = ['-std=gnu11', '-O0', '-g', '-ffp-contract=off'];
    const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
    const probe = join(this.folder, 'probe.c');
    writeFileSync(probe, 'int main(void) { return 0; }');
    const built = spawnSync(cc, [...sanitizers, probe, '-o', join(this.folder, 'probe')]);
    if (built.status !== 0 || spawnSync(join(this.folder, 'probe')).status !== 0) return false;
    execFileSync(cc, [...flags, ...sanitizers, `-I${wasm}`, ...sources(wasm), '-lm', '-o', this.binary], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return true;
  }

  private get binary(): string {
    return join(this.folder, 'run');
  }

  /** Runs steps; the memory that each leaves. Throws with the sanitizer's report. */
  run(steps: readonly RecordedStep[]): Uint8Array[] {
    const jobs = steps.map((step, i) => {
      const file = (name: string) => join(this.folder, `${i}.${name}`);
      writeFileSync(file('in'), step.before);
      const ranges = step.regions.flatMap(({ offset, bytes }) => [offset, offset + bytes]);
      writeFileSync(file('ranges'), Uint32Array.from(ranges));
      return [file('in'), file('ranges'), file('out'), ...step.arguments.map(String)];
    });
    const { status, stderr } = spawnSync(this.binary, jobs.flat(), {
      env: { ASAN_OPTIONS: 'detect_leaks=0' },
    });
    if (status !== 0) throw new Error(String(stderr).slice(0, 4000));
    return jobs.map((job) => new Uint8Array(readFileSync(job[2]!)));
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
