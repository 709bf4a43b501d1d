import { expect, test } from 'vitest';
import { SlotArena } from '../../src/state/arena.ts';

test('every slot once, shadows apart', () => {
  const arena = new SlotArena(3, 2);
  expect(arena.size).toBe(5);
  const slots = [arena.acquire(), arena.acquire(), arena.acquire()];
  expect([...slots].sort()).toEqual([0, 1, 2]);
  expect(arena.taken).toBe(3);
  expect(() => arena.acquire()).toThrowError(/All 3 sessions.*maxSessions/);
  const shadows = [arena.acquireShadow(), arena.acquireShadow(), arena.acquireShadow()];
  expect([...shadows].sort()).toEqual([3, 4, null]);
  arena.release(slots[1]!);
  arena.release(3);
  expect(arena.acquireShadow()).toBe(3);
  expect(arena.acquire()).toBe(slots[1]);
});

test('what is not taken can not be released', () => {
  const arena = new SlotArena(2, 1);
  for (const slot of [0, 2, 3, -1, 0.5]) expect(() => arena.release(slot)).toThrowError(/not taken/);
  const slot = arena.acquire();
  arena.release(slot);
  expect(() => arena.release(slot)).toThrowError(/not taken/);
});
