import { EdgeError } from '../../errors.ts';
import type { Range } from '../gpu/launch.ts';
import type { GpuPlan } from '../gpu/plan.ts';
import { shaders } from './shaders.ts';
import { aliases, type Linked, link } from './wgsl.ts';

const COMPUTE_STAGE = 4; // GPUShaderStage.COMPUTE

/** A launch as a compute pass takes it. */
export interface BoundKernel {
  pipeline: GPUComputePipeline;
  bindings: GPUBindGroup;
}

/** Compiles every distinct kernel of a plan once, and binds every launch. Throws INTERNAL where a kernel is refused. */
export async function bindLaunches(
  device: GPUDevice,
  plan: GpuPlan,
  buffers: ReadonlyMap<string, GPUBuffer>,
): Promise<BoundKernel[]> {
  const compiled = new Map<string, Promise<Compiled>>();
  const bound: Promise<BoundKernel>[] = [];
  for (const { kernel: name, settings, slices } of plan.launches) {
    const key = `${name} ${aliases(slices)} ${JSON.stringify(settings)}`; // the same for the calls of all layers
    let kernel = compiled.get(key);
    if (!kernel) {
      kernel = compile(device, name, link(shaders[name], settings, slices));
      compiled.set(key, kernel);
    }
    bound.push(
      kernel.then(({ pipeline, layout, names }) => {
        const entries = names.map((variable, binding) => {
          const { buffer, offset, size }: Range = slices[variable]!;
          return { binding, resource: { buffer: buffers.get(buffer)!, offset, size } };
        });
        return { pipeline, bindings: device.createBindGroup({ layout, entries }) };
      }),
    );
  }
  return Promise.all(bound);
}

interface Compiled {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
  names: readonly string[]; // of the variables that are bound
}

async function compile(device: GPUDevice, entryPoint: string, { code, bindings }: Linked): Promise<Compiled> {
  const module = device.createShaderModule({ code, label: entryPoint });
  const layout = device.createBindGroupLayout({
    entries: bindings.map(({ writes }, binding) => ({
      binding,
      visibility: COMPUTE_STAGE,
      buffer: { type: writes ? 'storage' : 'read-only-storage' },
    })),
  });
  try {
    const pipeline = await device.createComputePipelineAsync({
      label: entryPoint,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint },
    });
    return { pipeline, layout, names: bindings.map(({ name }) => name) };
  } catch (cause) {
    const { messages } = await module.getCompilationInfo();
    const first = messages.find(({ type }) => type === 'error');
    const detail = first
      ? `line ${first.lineNum}: ${first.message}`
      : cause instanceof Error
        ? cause.message
        : String(cause);
    throw new EdgeError('INTERNAL', `The GPU refused the kernel '${entryPoint}': ${detail}`, { cause });
  }
}
