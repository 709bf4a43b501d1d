import type { StepShape, Workgroups } from '../../src/backends/gpu/launch.ts';
import type { GpuPlan } from '../../src/backends/gpu/plan.ts';
import type { BoundKernel } from '../../src/backends/webgpu/pipelines.ts';

/** What is timed: the private parts of an executor. */
export interface Inside {
  plan: GpuPlan;
  device: { gpu: GPUDevice; kernels: readonly BoundKernel[] };
}

type Timed = BoundKernel & { groups: Workgroups };

export interface KernelTime {
  entry: string;
  rows: number | undefined; // of a linear's weight
  cols: number | undefined;
  launches: number; // in a step
  us: number; // of one
  GBps: number | undefined; // of weights
}

/** Microseconds by the GPU's own clock, medians: a whole step, and each kind of launch in a row of its own. */
export async function timeKernels(
  { plan, device: { gpu, kernels: bound } }: Inside,
  rows: number,
  segments = 1,
): Promise<{ stepUs: number; kernels: KernelTime[] }> {
  const outputs = segments;
  const shape: StepShape = { rows, segments, logitRows: outputs, outputs, single: rows === segments };
  const time = timer(gpu);
  const timed = (i: number): Timed => ({ ...bound[i]!, groups: plan.launches[i]!.workgroups(shape)! });
  const step = [...bound.keys()].filter((i) => plan.launches[i]!.workgroups(shape));
  const kinds = new Map<GPUComputePipeline, number[]>();
  for (const i of step) {
    const { pipeline } = bound[i]!;
    kinds.set(pipeline, [...(kinds.get(pipeline) ?? []), i]);
  }
  const kernels: KernelTime[] = [];
  for (const list of kinds.values()) {
    const { kernel, settings, slices } = plan.launches[list[0]!]!;
    const us = await time(list.map(timed));
    const bytes = ['words', 'scales'].reduce(
      (sum, name) => sum + (slices[name] ? plan.buffers.get(slices[name].buffer)!.bytes : 0),
      0,
    );
    kernels.push({
      entry: kernel,
      rows: settings.constants?.ROWS,
      cols: settings.constants?.COLS,
      launches: list.length,
      us: Math.round(us * 100) / 100,
      GBps: kernel.startsWith('matvec') ? Math.round(bytes / us / 1e3) : undefined,
    });
  }
  return { stepUs: Math.round((await time(step.map(timed))) * step.length), kernels };
}

/** Microseconds of one of some dispatches, run one after the other some 400 times. */
function timer(device: GPUDevice) {
  const QUERY_RESOLVE = 0x200;
  const [MAP_READ, COPY_SRC, COPY_DST] = [1, 4, 8];
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
  const resolved = device.createBuffer({ size: 16, usage: QUERY_RESOLVE | COPY_SRC });
  const staging = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
  const run = async (list: readonly Timed[]) => {
    const rounds = Math.ceil(400 / list.length);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass({
      timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
    });
    for (let round = 0; round < rounds; round++)
      for (const { pipeline, bindings, groups } of list) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindings);
        pass.dispatchWorkgroups(...groups);
      }
    pass.end();
    encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_READ);
    const [first, last] = new BigInt64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return Number(last! - first!) / 1000 / (rounds * list.length);
  };
  return async (list: readonly Timed[]) => {
    await run(list);
    return [await run(list), await run(list), await run(list)].toSorted((a, b) => a - b)[1]!;
  };
}
