import type { StateCopy } from '../core/copies.ts';
import type { Device } from '../core/device.ts';
import type { SequenceHistory } from './sequence_history.ts';

/** A way back to the state that a sequence had. */
export interface UndoPoint {
  /** The state; null of a fresh slot. */
  readonly copy: StateCopy | null;
  restore(): Promise<void>;
  /** Frees what holds the state; no way back then. */
  release(): void;
}

/** Sets a sequence's state aside: nothing for a fresh slot. */
export async function takeUndoPoint(
  device: Device,
  slot: number,
  history: SequenceHistory,
): Promise<UndoPoint> {
  const { executor, scheduler, copies } = device;
  const { position } = history;
  const mark = history.mark();
  const copy = position === 0 ? null : await copies.setAside(slot, position);
  return {
    copy,
    restore: async () => {
      history.return(mark); // which holds even if the device, and the state on it, are gone
      if (copy) await copies.restore(copy, () => slot);
      else await scheduler.exclusive(() => executor.resetSlot(slot));
    },
    release: once(() => copy && copies.dismiss(copy)),
  };
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
