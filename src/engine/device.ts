import type { Executor } from '../backends/types.ts';
import type { Program } from '../ops/program.ts';
import { MAX_RECENT } from '../ops/sample.ts';
import { SlotArena } from '../state/arena.ts';
import { CheckpointBudget, Checkpoints } from '../state/checkpoints.ts';
import { History } from '../state/history.ts';
import { ImageLayout, type StateImage } from '../state/image.ts';
import type { Past } from './memory.ts';
import { PrefixCache } from './prefix_cache.ts';
import { Residency } from './residency.ts';
import { Scheduler } from './scheduler.ts';
import type { StateSettings } from './types.ts';

/** Slots beside the sessions', to set a session's state aside in. */
export const SHADOW_SLOTS = 1;

/** What sequences run on: one for every engine. */
export interface Device {
  executor: Executor;
  program: Program;
  scheduler: Scheduler;
  arena: SlotArena;
  residency: Residency;
  layout: ImageLayout;
  cache: PrefixCache | null;
  checkpoints: CheckpointBudget<StateImage>;
  settings: StateSettings;
}

export function createDevice(
  executor: Executor,
  program: Program,
  settings: StateSettings & { maxSessions: number },
): Device {
  const arena = new SlotArena(settings.maxSessions, SHADOW_SLOTS);
  return {
    executor,
    program,
    scheduler: new Scheduler(executor, program.chunk),
    arena,
    residency: new Residency(arena, settings),
    layout: new ImageLayout(program),
    cache: settings.cacheBytes > 0 ? new PrefixCache(settings.cacheBytes) : null,
    checkpoints: new CheckpointBudget(settings.checkpointBytes),
    settings,
  };
}

/** Room for a conversation's past. */
export function newPast(device: Device): Past {
  return {
    history: new History(device.settings.maxHistory + MAX_RECENT),
    checkpoints: new Checkpoints(device.checkpoints),
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
