import { EdgeError, messageOf } from '../../errors.ts';
import type { Dispatch, GpuDevice } from '../gpu/device.ts';
import type { Range } from '../gpu/launch.ts';
import type { GpuPlan } from '../gpu/plan.ts';
import { MAP_MODE_READ } from './adapter.ts';
import { GpuBuffers } from './memory.ts';
import { type BoundKernel, bindLaunches } from './pipelines.ts';

/** A plan on WebGPU. What fails here is a lost device, or a defect of ours. */
export class WebgpuDevice implements GpuDevice {
  private disposed = false;
  private loss: GPUDeviceLostInfo | null = null;
  private error: GPUError | null = null; // the first that nothing waited for
  private kernels: readonly BoundKernel[] = []; // of every launch

  private constructor(
    private readonly gpu: GPUDevice,
    private readonly buffers: GpuBuffers,
  ) {
    gpu.lost.then((info) => {
      this.loss = info;
    });
    gpu.addEventListener('uncapturederror', (event) => {
      this.error ??= (event as GPUUncapturedErrorEvent).error;
    });
  }

  /** Allocates, compiles and binds. On failure the device is given back. */
  static async create(gpu: GPUDevice, plan: GpuPlan): Promise<WebgpuDevice> {
    try {
      const device = new WebgpuDevice(gpu, await GpuBuffers.allocate(gpu, plan));
      device.kernels = await bindLaunches(gpu, plan, device.buffers.all);
      return device;
    } catch (error) {
      gpu.destroy();
      throw error;
    }
  }

  get lost(): boolean {
    return this.loss !== null;
  }

  check(): void {
    if (this.disposed) throw new EdgeError('CLOSED', 'This WebGPU executor was disposed');
    if (this.loss) throw deviceLost(this.loss.message || this.loss.reason);
    if (this.error) throw new EdgeError('INTERNAL', `The GPU refused a command: ${this.error.message}`);
  }

  write(buffer: string, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    const target = this.buffers.get(buffer);
    this.gpu.queue.writeBuffer(target, offset, data.buffer, data.byteOffset, data.byteLength);
  }

  clear(ranges: readonly Range[]): void {
    this.submit((encoder) => {
      for (const { buffer, offset, size } of ranges)
        encoder.clearBuffer(this.buffers.get(buffer), offset, size);
    });
  }

  /** Through a buffer of its own: WebGPU copies nothing within one. */
  copy(from: readonly Range[], to: readonly Range[]): void {
    const copies = this.buffers.get('copies');
    this.submit((encoder) => {
      for (const [i, { buffer, offset, size }] of from.entries()) {
        const target = to[i]!;
        encoder.copyBufferToBuffer(this.buffers.get(buffer), offset, copies, 0, size);
        encoder.copyBufferToBuffer(copies, 0, this.buffers.get(target.buffer), target.offset, size);
      }
    });
  }

  /** As one compute pass. */
  run(dispatches: readonly Dispatch[], times: number): void {
    this.submit((encoder) => {
      const pass = encoder.beginComputePass();
      for (let k = 0; k < times; k++) this.encode(pass, dispatches);
      pass.end();
    });
  }

  private encode(pass: GPUComputePassEncoder, dispatches: readonly Dispatch[]): void {
    for (const { launch, workgroups } of dispatches) {
      const [x, y, z] = workgroups;
      const { pipeline, bindings } = this.kernels[launch]!;
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindings);
      // Runtimes convert each argument: a seventh of the call.
      if (z > 1) pass.dispatchWorkgroups(x, y, z);
      else if (y > 1) pass.dispatchWorkgroups(x, y);
      else pass.dispatchWorkgroups(x);
    }
  }

  private submit(encode: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.gpu.createCommandEncoder();
    encode(encoder);
    this.gpu.queue.submit([encoder.finish()]);
  }

  async settle(): Promise<void> {
    await this.guarded(this.gpu.queue.onSubmittedWorkDone());
    this.check();
  }

  /** As many ranges at a time as the staging buffer holds. */
  async read(ranges: readonly Range[]): Promise<ArrayBuffer[]> {
    const found: ArrayBuffer[] = [];
    for (let begin = 0; begin < ranges.length; ) {
      let bytes = 0;
      let end = begin;
      while (end < ranges.length && (end === begin || bytes + ranges[end]!.size <= this.buffers.staging.size))
        bytes += ranges[end++]!.size;
      found.push(...(await this.readTogether(ranges.slice(begin, end), bytes)));
      begin = end;
    }
    return found;
  }

  private async readTogether(ranges: readonly Range[], bytes: number): Promise<ArrayBuffer[]> {
    const { staging } = this.buffers;
    this.submit((encoder) => {
      let at = 0;
      for (const { buffer, offset, size } of ranges) {
        encoder.copyBufferToBuffer(this.buffers.get(buffer), offset, staging, at, size);
        at += size;
      }
    });
    await this.guarded(staging.mapAsync(MAP_MODE_READ, 0, bytes));
    const mapped = staging.getMappedRange(0, bytes);
    let end = 0;
    const copies = ranges.map(({ size }) => {
      end += size;
      return mapped.slice(end - size, end);
    });
    staging.unmap();
    this.check();
    return copies;
  }

  /** What waits for the GPU fails only with its device. */
  private async guarded(waiting: Promise<unknown>): Promise<void> {
    try {
      await waiting;
    } catch (cause) {
      this.check();
      const message = messageOf(cause);
      this.loss = { reason: 'unknown', message } as GPUDeviceLostInfo;
      throw deviceLost(message, cause);
    }
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.buffers.destroy();
    this.gpu.destroy();
  }
}

function deviceLost(why: string, cause?: unknown): EdgeError {
  return new EdgeError(
    'DEVICE_LOST',
    `The GPU device was lost (${why}). recover() brings the model and its sessions back; or load it again`,
    cause === undefined ? {} : { cause },
  );
}
