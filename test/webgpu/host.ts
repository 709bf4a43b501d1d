import { existsSync } from 'node:fs';
import type { Backend } from '../../src/backends/types.ts';
import { type WebgpuHost, type WebgpuOverrides, webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { LAVAPIPE, SWIFTSHADER } from '../helpers/provided.ts';
import { changedDevice } from './null_device.ts';

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

/**
 * The LLVM of lavapipe takes minutes to compile `sample`, whose barriers make a coroutine of many parts of it: there, a
 * kernel in its place takes the largest logit.
 */
const GREEDY = `@compute @workgroup_size(1)
fn sample(@builtin(workgroup_id) group: vec3<u32>) {
  let o = group.x;
  var best = 0u;
  for (var id = 1u; id < VOCAB; id++) {
    if (logit(o, id) > logit(o, best)) { best = id; }
  }
  results[outputs[o].ahead * batch.outputs + o].id = best;
  if (batch.goes_on != 0u) { follow(o, best); }
}
`;

function greedyOnly(host: WebgpuHost): WebgpuHost {
  return changedDevice(host, (device) => {
    const create = device.createShaderModule.bind(device);
    device.createShaderModule = (module) => {
      if (module.label !== 'sample') return create(module);
      const [before, , follow] = module.code.split(/(?=^@compute|^fn follow)/m);
      return create({ ...module, code: before! + GREEDY + follow! });
    };
  });
}

/** A software GPU compiles kernels for many rows for seconds each; parity and goldens, which have chunks of their own, run them. */
const CHUNK = 16;

/** WebGPU in Node, where a software adapter will do. */
export function dawn(overrides: WebgpuOverrides = {}, options: string[] = []): Backend {
  const host = ON_LAVAPIPE ? greedyOnly(dawnHost(options)) : dawnHost(options);
  return { ...webgpuBackend(host, { software: true, ...overrides }), chunk: CHUNK };
}
