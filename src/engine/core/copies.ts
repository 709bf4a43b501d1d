import type { Executor } from '../../backends/types.ts';
import type { Program } from '../../ops/program.ts';
import type { SlotArena } from '../../state/arena.ts';
import type { ImageLayout, StateImage } from '../../state/image.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * A state as it was: an image in host memory, or a shadow slot of the device. It is there as long as someone holds it.
 */
export class StateCopy {
  private holders = 0;

  constructor(
    readonly position: number,
    private state: { image: StateImage } | { shadow: number } | null,
    private readonly left: () => void = () => {}, // the shadow
  ) {}

  /** Null while it is on the device alone. */
  get image(): StateImage | null {
    return this.state && 'image' in this.state ? this.state.image : null;
  }

  /** Null once it is in host memory. */
  get shadow(): number | null {
    return this.state && 'shadow' in this.state ? this.state.shadow : null;
  }

  hold(): void {
    this.holders++;
  }

  /** What nobody holds is gone. */
  release(): void {
    this.holders--;
    if (this.holders > 0) return;
    this.leave();
    this.state = null;
  }

  /** It is in host memory from now on. */
  moved(image: StateImage): void {
    this.leave();
    this.state = { image };
  }

  private leave(): void {
    if (this.shadow !== null) this.left();
  }
}

interface Parts {
  executor: Executor;
  scheduler: Scheduler;
  arena: SlotArena;
  layout: ImageLayout;
  program: Program;
  /** Gives up one of some that were taken to be kept; false if there is none. */
  spare(some: (copy: StateCopy) => boolean): boolean;
}

/**
 * Takes copies of states. Where the host reads them at once, they are images. From a device of its own a state takes
 * as long to read as hundreds of tokens to run: there a copy is made in a shadow slot, and read while nobody asks for
 * anything.
 */
export class Copies {
  private readonly unread = new Set<StateCopy>(); // the oldest first
  private reading: { copy: StateCopy; states: Record<string, Float32Array> } | null = null;
  private readonly aside = new Set<StateCopy>(); // in shadow slots, to come back to

  constructor(private readonly parts: Parts) {}

  /** How many copies can be kept that were not read yet. */
  get room(): number {
    const { executor, arena } = this.parts;
    return executor.distant ? arena.shadows - this.aside.size : Number.POSITIVE_INFINITY;
  }

  /** A copy to keep, which the caller holds; null if there is no room for it. `atOnce`: in host memory. */
  async take(slot: number, position: number, atOnce = false): Promise<StateCopy | null> {
    if (!this.parts.executor.distant || atOnce) return this.read(slot, position);
    const copy = await this.copy(slot, position);
    if (copy) this.readLater(copy);
    return copy;
  }

  /** A copy to come back to, until it is `dismissed`: on the device if there is room, else in host memory. */
  async setAside(slot: number, position: number): Promise<StateCopy> {
    const copy = await this.copy(slot, position);
    if (copy) this.aside.add(copy);
    return copy ?? this.read(slot, position);
  }

  dismiss(copy: StateCopy): void {
    this.aside.delete(copy);
    copy.release();
  }

  /** It is to be kept: one that was set aside, for example. */
  readLater(copy: StateCopy): void {
    if (copy.shadow === null) return;
    this.unread.add(copy);
    this.parts.scheduler.whenIdle(() => this.readPart());
  }

  /** Makes the state of `slot` that of `copy`. */
  async restore(copy: StateCopy, slot: () => number): Promise<void> {
    const { executor, scheduler, layout } = this.parts;
    const { position } = copy;
    copy.hold();
    try {
      await scheduler.exclusive(() =>
        copy.image
          ? executor.writeSlot(slot(), position, layout.fill(copy.image, position))
          : executor.copySlot(copy.shadow!, slot()),
      );
    } finally {
      copy.release();
    }
  }

  /** In a shadow slot; null if there is none. */
  private async copy(slot: number, position: number): Promise<StateCopy | null> {
    const { executor, scheduler, arena } = this.parts;
    const shadow = this.shadow();
    if (shadow === null) return null;
    const copy = new StateCopy(position, { shadow }, () => {
      arena.release(shadow);
      this.unread.delete(copy);
    });
    copy.hold();
    try {
      await scheduler.exclusive(() => executor.copySlot(slot, shadow));
      return copy;
    } catch (error) {
      copy.release();
      throw error;
    }
  }

  private shadow(): number | null {
    const { arena, spare } = this.parts;
    for (;;) {
      const shadow = arena.acquireShadow();
      if (shadow !== null || !spare((copy) => this.unread.has(copy) && !this.aside.has(copy))) return shadow;
    }
  }

  private async read(slot: number, position: number): Promise<StateCopy> {
    const { executor, scheduler, layout } = this.parts;
    const state = await scheduler.exclusive(() => executor.readSlot(slot, position));
    const copy = new StateCopy(position, { image: layout.cut(state, position) });
    copy.hold();
    return copy;
  }

  /** Reads one state of what is unread, the newest first; is anything left? */
  private async readPart(): Promise<boolean> {
    const { executor, layout, program } = this.parts;
    if (this.reading?.copy.shadow == null) this.reading = null;
    const copy = this.reading?.copy ?? [...this.unread].at(-1);
    if (!copy) return false;
    this.reading ??= { copy, states: {} };
    const { states } = this.reading;
    const next = Object.keys(program.states).find((name) => !(name in states));
    if (next !== undefined)
      Object.assign(states, await executor.readSlot(copy.shadow!, copy.position, [next]));
    const complete = Object.keys(program.states).every((name) => name in states);
    if (complete && copy.shadow !== null) copy.moved(layout.cut(states, copy.position));
    return this.unread.size > 0;
  }
}
