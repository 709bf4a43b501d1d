import type { Executor } from '../../backends/types.ts';
import type { Program } from '../../ops/program.ts';
import { MAX_RECENT } from '../../ops/sample.ts';
import { SlotArena } from '../../state/arena.ts';
import { CheckpointBudget } from '../../state/checkpoints.ts';
import { ImageLayout } from '../../state/image.ts';
import type { StateSettings } from '../types.ts';
import { Copies, type StateCopy } from './copies.ts';
import { PrefixCache } from './prefix_cache.ts';
import { Scheduler } from './scheduler.ts';
import { SlotCache } from './slot_cache.ts';

/** Slots beside the sessions': one to set a session's state aside in, and on a device of its own a few for checkpoints. */
const [SET_ASIDE, MOST_UNREAD] = [1, 3];

/** How many slots an engine wants beside its sessions': `distant` is the executor's. */
export function shadowSlots(
  distant: boolean,
  slotBytes: number,
  { checkpointBytes, cacheBytes }: Pick<StateSettings, 'checkpointBytes' | 'cacheBytes'>,
): number {
  const kept = Math.floor(Math.max(checkpointBytes, cacheBytes) / slotBytes);
  return SET_ASIDE + (distant ? Math.min(MOST_UNREAD, kept) : 0);
}

/** State that all sequences of a device share; one for every engine. */
export interface Device {
  executor: Executor;
  program: Program;
  scheduler: Scheduler;
  arena: SlotArena;
  slotCache: SlotCache;
  layout: ImageLayout;
  copies: Copies;
  cache: PrefixCache | null;
  checkpoints: CheckpointBudget<StateCopy>;
  settings: StateSettings;
}

export function createDevice(
  executor: Executor,
  program: Program,
  settings: StateSettings & { maxSessions: number; shadowSlots: number },
): Device {
  const arena = new SlotArena(settings.maxSessions, settings.shadowSlots);
  const scheduler = new Scheduler(executor, program.chunk);
  const layout = new ImageLayout(program);
  const cache = settings.cacheBytes > 0 ? new PrefixCache(settings.cacheBytes) : null;
  const checkpoints = new CheckpointBudget<StateCopy>(settings.checkpointBytes, {
    add: (copy) => copy.hold(),
    remove: (copy) => copy.release(),
  });
  const spare = (some: (copy: StateCopy) => boolean) =>
    checkpoints.thin(some) || (cache?.drop(some) ?? false);
  return {
    executor,
    program,
    scheduler,
    arena,
    slotCache: new SlotCache(arena, settings),
    layout,
    copies: new Copies({ executor, scheduler, arena, layout, program, spare }),
    cache,
    checkpoints,
    settings,
  };
}

/** The most bytes of host memory that histories, checkpoints, cached prefixes and spilled sessions take. */
export function hostBytes(
  { maxHistory, checkpointBytes, cacheBytes, spill }: StateSettings,
  maxSessions: number,
  slotBytes: number,
): number {
  const histories = (maxSessions + spill) * 4 * (maxHistory + MAX_RECENT);
  return histories + checkpointBytes + cacheBytes + spill * slotBytes;
}
