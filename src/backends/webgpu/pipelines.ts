import { EdgeError } from '../../errors.ts';
import type { Launch, Slice } from '../gpu/launch.ts';
import type { Plan } from '../gpu/plan.ts';
import { shaders } from './shaders.ts';
import { aliases, type Linked, link } from './wgsl.ts';

const COMPUTE_STAGE = 4; // GPUShaderStage.COMPUTE

/** A launch as a compute pass takes it. */
export interface Dispatch {
  pipeline: GPUComputePipeline;
  bindings: GPUBindGroup;
  workgroups: Launch['workgroups'];
}

/** Compiles every distinct kernel of a plan once, and binds every launch. Throws INTERNAL where a kernel is refused. */
export async function createDispatches(
  device: GPUDevice,
  plan: Plan,
  buffers: ReadonlyMap<string, GPUBuffer>,
): Promise<Dispatch[]> {
  const compiled = new Map<string, Promise<Compiled>>();
  const dispatches: Promise<Dispatch>[] = [];
  for (const { entry, settings, slices: ranges, workgroups } of plan.launches) {
    const slices = Object.fromEntries(
      Object.entries(ranges).map(([name, slice]) => [name, { ...slice, size: plan.bytesOf(slice) }]),
    );
    const key = `${entry} ${aliases(slices)} ${JSON.stringify(settings)}`; // the same for the calls of all layers
    let kernel = compiled.get(key);
    if (!kernel) {
      kernel = compile(device, entry, link(shaders[entry], settings, slices));
      compiled.set(key, kernel);
    }
    dispatches.push(
      kernel.then(({ pipeline, layout, names }) => {
        const entries = names.map((name, binding) => ({
          binding,
          resource: resourceOf(slices[name]!, buffers),
        }));
        return { pipeline, bindings: device.createBindGroup({ layout, entries }), workgroups };
      }),
    );
  }
  return Promise.all(dispatches);
}

function resourceOf(
  { buffer, offset, size }: Slice,
  buffers: ReadonlyMap<string, GPUBuffer>,
): GPUBufferBinding {
  return {
    buffer: buffers.get(buffer)!,
    ...(offset !== undefined && { offset }),
    ...(size !== undefined && { size }),
  };
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
