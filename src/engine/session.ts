import { EdgeError, requireArgument } from '../errors.ts';
import type { Snapshot } from '../state/snapshot.ts';
import { Call } from './call.ts';
import { show } from './options.ts';
import type { Past } from './past.ts';
import type { Sequence } from './sequence.ts';
import type { RewindTarget } from './types.ts';

/** What occupies a session. */
export interface Occupant {
  name: 'append' | 'generate' | 'reset' | 'rewind' | 'fork' | 'save';
  /** Ends it with an error. */
  end(error: EdgeError): Promise<void>;
}

const CLOSED = new EdgeError('CLOSED', 'The session was closed. Open another one to go on');

/** A conversation: a sequence that one thing at a time happens to. */
export class Session {
  private occupant: Occupant | null = null;
  private fault: unknown = null; // what left the slot's state undefined
  private closed = false;

  constructor(readonly sequence: Sequence) {}

  /** @throws BUSY, CLOSED, or what broke the session */
  occupy(occupant: Occupant): void {
    if (this.closed) throw CLOSED;
    if (this.occupant)
      throw new EdgeError(
        'BUSY',
        `The session is busy with ${this.occupant.name}: await it, or stop it, before ${occupant.name}`,
      );
    if (this.fault && occupant.name !== 'reset')
      throw new EdgeError(
        'INTERNAL',
        'A step of this session failed, so its state is undefined: reset it to go on',
        {
          cause: this.fault,
        },
      );
    this.occupant = occupant;
  }

  leave(occupant: Occupant): void {
    if (this.occupant === occupant) this.occupant = null;
  }

  /** Only `reset` is possible from now on. */
  damage(error: unknown): void {
    this.fault = error;
  }

  /** Consumes a prompt. Whatever stops it leaves the session as it was before. */
  async append(ids: Int32Array, call: Call): Promise<number> {
    await this.during('append', call, async () => {
      this.sequence.requireRoom(Math.max(0, this.sequence.rowsWith(ids) - 1));
      if (ids.length === 0) return;
      await this.undoably(async () => {
        await this.sequence.keep(true);
        await this.sequence.append(ids, call);
      });
    });
    return this.sequence.position;
  }

  /** Goes back to a position or to where a turn began. Whatever stops it leaves the session as it was before. */
  async rewind(target: RewindTarget, call: Call): Promise<number> {
    const position = this.positionOf(target);
    await this.during('rewind', call, () =>
      this.undoably(async () => {
        await this.sequence.rewind(position, call);
      }),
    );
    return this.sequence.position;
  }

  async save(): Promise<Snapshot> {
    let snapshot: Snapshot | undefined;
    await this.during('save', new Call(), async () => {
      snapshot = await this.sequence.save();
    });
    return snapshot!;
  }

  /** Another session that goes on from here. */
  async fork(past: Past): Promise<Session> {
    let fork: Session | undefined;
    await this.during('fork', new Call(), async () => {
      fork = new Session(await this.sequence.fork(past));
    });
    return fork!;
  }

  private positionOf(target: RewindTarget): number {
    const now = this.sequence.position;
    if ('position' in target && target.position !== undefined) {
      const { position } = target;
      requireArgument(
        Number.isInteger(position) && position >= 0 && position <= now,
        `position must be an integer from 0 to ${now}, found ${show(position)}`,
      );
      return position;
    }
    const { turn } = target as { turn?: number };
    const turns = this.sequence.past?.turns ?? [];
    requireArgument(
      Number.isInteger(turn) && turn! >= -turns.length && turn! < turns.length,
      `turn must be an integer from ${-turns.length} to ${turns.length - 1} (this session has ${turns.length} turns), found ${show(turn)}`,
    );
    return Math.max(0, turns.at(turn!)!);
  }

  /** Runs something that consumes tokens; if it fails, the session is as it was before. */
  private async undoably(run: () => Promise<void>): Promise<void> {
    const before = await this.sequence.checkpoint();
    try {
      await run();
    } catch (error) {
      await before.restore().catch(() => this.damage(error));
      throw error;
    } finally {
      before.release();
    }
  }

  async reset(): Promise<void> {
    await this.during('reset', new Call(), () => this.sequence.reset());
    this.fault = null;
  }

  /** Ends what occupies it, and frees the slot. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.occupant?.end(CLOSED);
    this.sequence.release();
  }

  private async during(name: Occupant['name'], call: Call, run: () => Promise<void>): Promise<void> {
    let settle = () => {};
    const settled = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const occupant: Occupant = {
      name,
      end: (error) => {
        call.abort(error);
        return settled;
      },
    };
    this.occupy(occupant);
    try {
      await run();
    } finally {
      this.leave(occupant);
      settle();
    }
  }
}
