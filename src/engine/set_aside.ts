import type { Device } from './device.ts';
import type { Memory } from './memory.ts';

/** A way back to the state that a sequence had. */
export interface Checkpoint {
  restore(): Promise<void>;
  /** Frees what holds the state; no way back then. */
  release(): void;
}

/**
 * Sets a sequence's state aside: nothing for a fresh slot, else in a shadow slot, or in memory of its own where
 * sessions that generate at the same time have taken those.
 */
export async function setAside(device: Device, slot: number, memory: Memory): Promise<Checkpoint> {
  const { executor, scheduler, arena } = device;
  const { position } = memory;
  const mark = memory.mark();
  const checkpoint = (write: () => Promise<void>, release = () => {}): Checkpoint => ({
    restore: async () => {
      memory.return(mark); // which holds even if the device, and the state on it, are gone
      await scheduler.exclusive(write);
    },
    release,
  });
  if (position === 0) return checkpoint(() => executor.resetSlot(slot));
  const shadow = arena.acquireShadow();
  if (shadow !== null) {
    try {
      await scheduler.exclusive(() => executor.copySlot(slot, shadow));
    } catch (error) {
      arena.release(shadow);
      throw error;
    }
    return checkpoint(
      () => executor.copySlot(shadow, slot),
      once(() => arena.release(shadow)),
    );
  }
  const state = await scheduler.exclusive(() => executor.readSlot(slot, position));
  return checkpoint(() => executor.writeSlot(slot, position, state));
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
