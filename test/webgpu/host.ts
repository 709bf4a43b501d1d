import { existsSync } from 'node:fs';
import type { Backend } from '../../src/backends/types.ts';
import { type WebgpuHost, type WebgpuOverrides, webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { LAVAPIPE, SWIFTSHADER } from '../helpers/provided.ts';

interface Dawn {
  create(options: string[]): GPU;
}

const kept: unknown[] = []; // Dawn ends the process once its object is collected

/** CI provides a software GPU: there, nothing is skipped. */
export const REQUIRED = process.env.CI === 'true';

/** Whether vitest.lavapipe.config.ts runs this: only what depends on the size of subgroups, or on shader-f16. */
export const ON_LAVAPIPE = process.env.VK_ICD_FILENAMES === LAVAPIPE;

/** Dawn for Node on its own adapter: a GPU where there is one, else Chromium's SwiftShader. */
export function dawnHost(options: string[] = []): WebgpuHost {
  return {
    device: 'test',
    async gpu() {
      if (process.env.VK_ICD_FILENAMES === undefined && existsSync(SWIFTSHADER))
        process.env.VK_ICD_FILENAMES = SWIFTSHADER;
      try {
        const { create } = (await import('webgpu' as string)) as Dawn;
        const gpu = create(options);
        kept.push(gpu);
        return gpu;
      } catch (error) {
        return `package webgpu: ${(error as Error).message}`;
      }
    },
  };
}

/** A software GPU compiles kernels for many rows for seconds each; parity and goldens, which have chunks of their own, run them. */
const CHUNK = 16;

/** WebGPU in Node, where a software adapter will do. */
export function dawn(overrides: WebgpuOverrides = {}, options: string[] = []): Backend {
  return { ...webgpuBackend(dawnHost(options), { software: true, ...overrides }), chunk: CHUNK };
}
