import { expect, vi } from 'vitest';
import type { Device } from '../../src/engine/core/device.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { Sequence } from '../../src/engine/language/sequence.ts';
import type { EngineInfo } from '../../src/engine/types.ts';
import type { Program } from '../../src/ops/program.ts';
import { future, handle, open } from './drive.ts';
import { DistantExecutor, fakeEngine, TOY_STATES } from './fake.ts';

// Engines whose device keeps its states to itself, as a GPU does. Timers are the tests' own.

export const IDLE_MS = 50;
export const STATES: Program['states'] = { ...TOY_STATES, other: { shape: [1], layout: 'dense' } };
export const BYTES = 12; // of a state
export const FACTS = {
  ...{ checkpointEvery: 512, checkpointBytes: 8 * BYTES, maxHistory: 65_536 },
  shadowSlots: 4,
};

export const tokens = (length: number, seed = 0) =>
  Array.from({ length }, (_, i) => (i * 7 + seed * 13 + i * i) % 50);

export function distant(facts: Partial<EngineInfo> = {}, maxSessions = 3) {
  const options = { chunk: 64, maxSessions, states: STATES, facts: { ...FACTS, ...facts } };
  const { engine, executor } = fakeEngine({ ...options, Executor: DistantExecutor });
  return { engine, executor: executor as DistantExecutor };
}

/** The same conversation on a backend that reads at once. */
export function near() {
  return fakeEngine({ chunk: 64, states: STATES, facts: FACTS }).engine;
}

export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Nobody wants anything for a while. */
export async function idle(engine: Engine) {
  for (let i = 0; i < 20; i++) {
    await vi.advanceTimersByTimeAsync(IDLE_MS);
    for (let j = 0; j < 20; j++) await turn();
  }
  expect(unread(engine)).toBe(0);
}

export const session = (engine: Engine, handle: number) =>
  (engine as unknown as { sessions: Map<number, { sequence: Sequence }> }).sessions.get(handle)!.sequence;
const device = (engine: Engine) => (engine as unknown as { device: Device }).device;
export const unread = (engine: Engine) =>
  (device(engine).copies as unknown as { unread: Set<unknown> }).unread.size;
export const freeShadows = (engine: Engine) =>
  (device(engine).arena as unknown as { freeShadows: number[] }).freeShadows.length;

/** All that a session will do, here and on a backend that reads at once, after the same ids. */
export async function expectSame(engine: Engine, session: number, consumed: readonly number[]) {
  const other = near();
  const twin = await open(other);
  await other.append(twin, consumed, handle());
  expect(await future(engine, session)).toEqual(await future(other, twin));
}
