import { EdgeError } from '../../errors.ts';
import { checkProgram } from '../../ops/program.ts';
import { checkBudget } from '../common/checks.ts';
import { GpuExecutor } from '../gpu/executor.ts';
import type { Features } from '../gpu/launch.ts';
import { type GpuPlan, makePlan } from '../gpu/plan.ts';
import type { Backend } from '../types.ts';
import {
  type AdapterFacts,
  factsOf,
  requestAdapter,
  requestDevice,
  type WebgpuHost,
  type WebgpuOverrides,
} from './adapter.ts';
import { WebgpuDevice } from './device.ts';

export type { WebgpuHost, WebgpuOverrides } from './adapter.ts';

/** What the specification guarantees: for plans before an adapter was seen. */
export const SPEC_FEATURES: Features = {
  subgroups: 0,
  packedDots: false,
  f16: false,
  matrices: null,
  maxBinding: 2 ** 27,
  maxWorkgroupMemory: 16_384,
  maxThreads: 256,
};

/** Fewer rows leave a large GPU idle. */
const CHUNK = 512;

/** The WebGPU backend. */
export function webgpuBackend(host: WebgpuHost, overrides: WebgpuOverrides = {}): Backend {
  let known: AdapterFacts | null = null;
  const look = async (): Promise<{ adapter: GPUAdapter; facts: AdapterFacts } | string> => {
    const found = await requestAdapter(host);
    if (typeof found === 'string') return found;
    const { gpu, adapter } = found;
    known = factsOf(gpu, adapter, overrides);
    if (overrides.subgroups && !adapter.features.has('subgroups')) return 'the adapter has no subgroups';
    return { adapter, facts: known };
  };
  return {
    name: 'webgpu',
    chunk: CHUNK,
    distant: true,
    async unavailable() {
      if (known) return null;
      const found = await look();
      return typeof found === 'string' ? found : null;
    },
    async unsuitable() {
      const absent = await host.withoutHardware?.();
      if (absent) return absent;
      if (!known) await look();
      return known?.software ? `its adapter is software (${known.name})` : null;
    },
    plan: (program, formats, options) =>
      makePlan(program, formats, known?.features ?? SPEC_FEATURES, options).memory,
    async create(program, formats, options) {
      checkProgram(program);
      const found = await look();
      if (typeof found === 'string')
        throw new EdgeError('UNSUPPORTED_BACKEND', `WebGPU can't run here: ${found}`);
      const plan = makePlan(program, formats, found.facts.features, options);
      checkBudget('WebGPU', plan.memory.totalBytes, options.memoryBudget);
      const device = await requestDevice(found.adapter, plan.features);
      return new GpuExecutor(plan, await WebgpuDevice.create(device, plan), {
        backend: 'webgpu',
        variant: variantOf(plan),
        device: `${found.facts.name}, ${host.device}`,
        why: found.facts.software ? 'a software adapter' : 'a GPU adapter',
        threads: 1,
        numerics: plan.numerics,
      });
    },
  };
}

function variantOf({ features, packedDots, f16 }: GpuPlan): string {
  return [
    features.subgroups > 0 ? 'subgroups' : 'no subgroups',
    ...(packedDots ? ['packed dots'] : []),
    ...(f16 ? [features.matrices ? 'subgroup matrices' : 'f16'] : []),
  ].join(', ');
}
