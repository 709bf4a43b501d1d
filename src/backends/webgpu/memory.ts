import { EdgeError } from '../../errors.ts';
import type { GpuPlan } from '../gpu/plan.ts';
import { USAGE } from './adapter.ts';

/** A plan's buffers, allocated once. */
export class GpuBuffers {
  private constructor(
    readonly all: ReadonlyMap<string, GPUBuffer>,
    /** What is read goes through it. */
    readonly staging: GPUBuffer,
  ) {}

  /** Throws OUT_OF_MEMORY, with the numbers. */
  static async allocate(device: GPUDevice, plan: GpuPlan): Promise<GpuBuffers> {
    const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
    const buffers = new Map<string, GPUBuffer>();
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    for (const [label, { bytes }] of plan.buffers) {
      if (label !== 'staging') buffers.set(label, device.createBuffer({ label, size: bytes, usage }));
    }
    const staging = device.createBuffer({
      label: 'staging',
      size: plan.buffers.get('staging')!.bytes,
      usage: USAGE.MAP_READ | USAGE.COPY_DST,
    });
    const invalid = await device.popErrorScope();
    const full = await device.popErrorScope();
    if (invalid || full) {
      const { totalBytes } = plan.memory;
      const why = (full ?? invalid)!.message;
      throw new EdgeError(
        'OUT_OF_MEMORY',
        `The GPU could not allocate ${totalBytes} bytes (${why}): quantize further, lower maxSessions, or use the backend 'wasm'`,
      );
    }
    return new GpuBuffers(buffers, staging);
  }

  get(name: string): GPUBuffer {
    const buffer = this.all.get(name);
    if (!buffer) throw new EdgeError('INTERNAL', `WebGPU: no buffer '${name}'`);
    return buffer;
  }

  destroy(): void {
    for (const buffer of [...this.all.values(), this.staging]) buffer.destroy();
  }
}
