import { EdgeError } from '../../errors.ts';
import type { Plan } from '../gpu/plan.ts';
import { MAP_MODE_READ, USAGE } from './device.ts';

/** Bytes of one buffer. */
export interface Range {
  buffer: string;
  offset: number;
  size: number;
}

/** A device and a plan's buffers on it, allocated once. What fails here is a lost device, or a defect of ours. */
export class Memory {
  private disposed = false;
  private loss: GPUDeviceLostInfo | null = null;
  private error: GPUError | null = null; // the first that nothing waited for

  private constructor(
    private readonly device: GPUDevice,
    readonly buffers: ReadonlyMap<string, GPUBuffer>,
    private readonly staging: GPUBuffer,
  ) {
    device.lost.then((info) => {
      this.loss = info;
    });
    device.addEventListener('uncapturederror', (event) => {
      this.error ??= (event as GPUUncapturedErrorEvent).error;
    });
  }

  /** Throws OUT_OF_MEMORY, with the numbers. */
  static async allocate(device: GPUDevice, plan: Plan): Promise<Memory> {
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
    return new Memory(device, buffers, staging);
  }

  get lost(): boolean {
    return this.loss !== null;
  }

  buffer(name: string): GPUBuffer {
    const buffer = this.buffers.get(name);
    if (!buffer) throw new EdgeError('INTERNAL', `WebGPU: no buffer '${name}'`);
    return buffer;
  }

  /** Throws CLOSED, DEVICE_LOST, or INTERNAL for what went wrong unseen. */
  check(): void {
    if (this.disposed) throw new EdgeError('CLOSED', 'This WebGPU executor was disposed');
    if (this.loss) throw deviceLost(this.loss.message || this.loss.reason);
    if (this.error) throw new EdgeError('INTERNAL', `The GPU refused a command: ${this.error.message}`);
  }

  write(name: string, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.device.queue.writeBuffer(this.buffer(name), offset, data.buffer, data.byteOffset, data.byteLength);
  }

  submit(encode: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.device.createCommandEncoder();
    encode(encoder);
    this.device.queue.submit([encoder.finish()]);
  }

  /** Resolves when all that was submitted has run. */
  async settle(): Promise<void> {
    await this.guarded(this.device.queue.onSubmittedWorkDone());
    this.check();
  }

  /** Ranges, as many at a time as the staging buffer holds. */
  async read(ranges: readonly Range[]): Promise<ArrayBuffer[]> {
    const found: ArrayBuffer[] = [];
    for (let begin = 0; begin < ranges.length; ) {
      let bytes = 0;
      let end = begin;
      while (end < ranges.length && (end === begin || bytes + ranges[end]!.size <= this.staging.size))
        bytes += ranges[end++]!.size;
      found.push(...(await this.readTogether(ranges.slice(begin, end), bytes)));
      begin = end;
    }
    return found;
  }

  private async readTogether(ranges: readonly Range[], bytes: number): Promise<ArrayBuffer[]> {
    const { staging } = this;
    this.submit((encoder) => {
      let at = 0;
      for (const { buffer, offset, size } of ranges) {
        encoder.copyBufferToBuffer(this.buffer(buffer), offset, staging, at, size);
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
      const message = cause instanceof Error ? cause.message : String(cause);
      this.loss = { reason: 'unknown', message } as GPUDeviceLostInfo;
      throw deviceLost(message, cause);
    }
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const buffer of [...this.buffers.values(), this.staging]) buffer.destroy();
    this.device.destroy();
  }
}

function deviceLost(why: string, cause?: unknown): EdgeError {
  return new EdgeError(
    'DEVICE_LOST',
    `The GPU device was lost (${why}). recover() brings the model and its sessions back; or load it again`,
    cause === undefined ? {} : { cause },
  );
}
