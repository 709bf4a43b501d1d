import type { StateImage } from '../../state/image.ts';
import type { Call } from './call.ts';
import type { StateCopy } from './copies.ts';
import type { Device } from './device.ts';
import type { Resident } from './slot_cache.ts';

/** Where a sequence's state lies: in a slot of the device, or spilled to host memory. */
export class Slot implements Resident {
  private image: StateImage | null = null; // while it is spilled
  private position = 0; // at which it was unpinned
  private spilling: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly device: Device,
    private index: number, // −1: in host memory
    readonly passing: boolean,
  ) {}

  /**
   * A slot of its own: of a fresh state, or a copy of `origin`; of something `passing` that comes to an end by itself.
   * Waits for one in turn, until `call` is aborted.
   * @throws OUT_OF_MEMORY, BUSY, ABORTED
   */
  static async acquire(device: Device, call: Call, passing: boolean, origin?: Slot): Promise<Slot> {
    const { executor, slotCache, scheduler } = device;
    const index = await slotCache.acquire({ call, passing, holds: origin !== undefined, returns: false });
    try {
      await scheduler.exclusive(() =>
        origin ? executor.copySlot(origin.index, index) : executor.resetSlot(index),
      );
    } catch (error) {
      slotCache.release(index, passing);
      throw error;
    }
    return new Slot(device, index, passing);
  }

  /** Of the device. */
  get number(): number {
    return this.index;
  }

  /** The state in host memory, if it is there. */
  get spilled(): StateImage | null {
    return this.image;
  }

  reset(): Promise<void> {
    return this.exclusive((slot) => this.device.executor.resetSlot(slot));
  }

  copy(origin: Slot): Promise<void> {
    return this.exclusive((slot) => this.device.executor.copySlot(origin.index, slot));
  }

  async read(position: number): Promise<StateImage> {
    const { executor, layout } = this.device;
    return layout.cut(await this.exclusive((slot) => executor.readSlot(slot, position)), position);
  }

  /** Makes its state that of `copy`. */
  restore(copy: StateCopy): Promise<void> {
    return this.device.copies.restore(copy, () => this.index);
  }

  write(position: number, image: StateImage): Promise<void> {
    const { executor, layout } = this.device;
    return this.exclusive((slot) => executor.writeSlot(slot, position, layout.fill(image, position)));
  }

  /** Frees what it holds, wherever that is. */
  release(): void {
    const { slotCache } = this.device;
    slotCache.pin(this);
    if (this.index >= 0) slotCache.release(this.index, this.passing);
    else slotCache.dropped();
  }

  /** Resolves when it is no longer on its way to host memory. */
  async settled(): Promise<void> {
    await this.spilling.catch(() => {});
  }

  /** It stays at `position` until it is pinned, and may be moved to host memory. */
  unpin(position: number): void {
    this.position = position;
    if (this.index >= 0) this.device.slotCache.unpin(this);
  }

  /** Brings it to the device, where it stays until it is unpinned. @throws OUT_OF_MEMORY, BUSY, ABORTED */
  async pin(call: Call): Promise<void> {
    const { slotCache } = this.device;
    slotCache.pin(this);
    await this.settled();
    slotCache.pin(this);
    const { image } = this;
    if (!image) return;
    const claim = { call, passing: this.passing, holds: false, returns: true };
    await slotCache.restore(claim, async (index) => {
      this.index = index;
      try {
        await this.write(this.position, image);
      } catch (error) {
        this.index = -1;
        throw error;
      }
      this.image = null;
    });
  }

  async spill(): Promise<number> {
    const reading = this.read(this.position);
    this.spilling = reading;
    this.image = await reading;
    const { index } = this;
    this.index = -1;
    return index;
  }

  private exclusive<T>(run: (index: number) => Promise<T>): Promise<T> {
    return this.device.scheduler.exclusive(() => run(this.index));
  }
}
