import type { Range, Workgroups } from './launch.ts';

/** A launch of a step, by its index in the plan. */
export interface Dispatch {
  launch: number;
  workgroups: Workgroups;
}

/**
 * A GPU that has the buffers of a plan and its kernels compiled: all that the executor wants of one. What is written,
 * cleared, copied and run happens in the order of the calls. All but `lost`, `settle` and `dispose` suppose `check`.
 */
export interface GpuDevice {
  /** True once the device went away, with all that was on it. */
  readonly lost: boolean;
  /** @throws CLOSED, DEVICE_LOST, or INTERNAL for what went wrong unseen */
  check(): void;
  /** `data` may change afterwards. */
  write(buffer: string, offset: number, data: ArrayBufferView<ArrayBuffer>): void;
  clear(ranges: readonly Range[]): void;
  /** Each range of `from` to the one of the same index of `to`, which is of the same size and lies elsewhere. */
  copy(from: readonly Range[], to: readonly Range[]): void;
  /** Each sees what those before it wrote; all of them again `times` times. */
  run(dispatches: readonly Dispatch[], times: number): void;
  read(ranges: readonly Range[]): Promise<ArrayBuffer[]>;
  /** Resolves when all before has happened. */
  settle(): Promise<void>;
  dispose(): void;
}
