import type { Range, Workgroups } from './launch.ts';

/** A launch of a step, by its index in the plan. */
export interface Dispatch {
  launch: number;
  workgroups: Workgroups;
}

/**
 * A GPU with the buffers of a plan and its compiled kernels: all that the executor needs of a GPU API. Writes, clears,
 * copies and runs happen in the order of the calls. Callers `check` first.
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
  /** Runs the dispatches one after the other, all of them `times` times. Each sees the writes of those before it. */
  run(dispatches: readonly Dispatch[], times: number): void;
  read(ranges: readonly Range[]): Promise<ArrayBuffer[]>;
  /** Resolves when all before has happened. */
  settle(): Promise<void>;
  dispose(): void;
}
