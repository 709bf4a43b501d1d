import { EdgeError, requireArgument, show } from '../../errors.ts';
import type { Conversation } from '../../state/snapshot.ts';
import { Call } from '../core/call.ts';
import type { Device } from '../core/device.ts';
import type { RewindTarget } from '../types.ts';
import { type Encoding, encode } from './prompt.ts';
import { Sequence } from './sequence.ts';
import type { UndoPoint } from './undo_point.ts';

/** The operation that occupies a session. */
export interface Occupant {
  name: 'append' | 'fork' | 'generate' | 'reset' | 'restore' | 'rewind' | 'save';
  /** Ends it with an error. */
  end(error: EdgeError): Promise<void>;
}

const CLOSED = new EdgeError('CLOSED', 'The session was closed. Open another one to go on');

/** A conversation: a sequence that one thing at a time happens to. */
export class Session {
  private occupant: Occupant | null = null;
  private fault: unknown = null; // what left the slot's state undefined
  private closed = false;

  constructor(readonly sequence: Sequence) {
    sequence.unpin();
  }

  /** The session that `other` was, on another device than the one that it was lost with. */
  static async revive(device: Device, other: Session): Promise<Session> {
    try {
      return new Session(await Sequence.revive(device, other.sequence, new Call()));
    } catch (error) {
      if (!(error instanceof EdgeError) || error.code !== 'POSITION_UNAVAILABLE') throw error;
      const session = new Session(await Sequence.open(device, 'session'));
      session.damage(error);
      return session;
    }
  }

  /** A session that goes on with a conversation. */
  static async resume(device: Device, conversation: Conversation, call: Call): Promise<Session> {
    const session = new Session(await Sequence.open(device, 'session', call));
    try {
      await session.take(conversation);
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** @throws BUSY, CLOSED, or what broke the session */
  occupy(occupant: Occupant): void {
    if (this.closed) throw CLOSED;
    if (this.occupant)
      throw new EdgeError(
        'BUSY',
        `The session is busy with ${this.occupant.name}: await it, or stop it, before ${occupant.name}`,
      );
    if (this.fault && occupant.name !== 'reset' && occupant.name !== 'restore')
      throw new EdgeError(
        'INTERNAL',
        'The state of this session was lost with a step that failed, or with its device: reset it to go on',
        {
          cause: this.fault,
        },
      );
    this.occupant = occupant;
  }

  leave(occupant: Occupant): void {
    if (this.occupant !== occupant) return;
    this.occupant = null;
    if (!this.closed) this.sequence.unpin();
  }

  /** Only `reset` is possible from now on. */
  damage(error: unknown): void {
    this.fault = error;
  }

  /**
   * Consumes a prompt, as a turn unless it `continues` one. Whatever stops it leaves the session as it was before; one
   * that is the `whole` conversation may leave it where the two part.
   */
  async append(encoding: Encoding, call: Call, continues = false, whole = false): Promise<number> {
    await this.during('append', call, async () => {
      const ids = await encode(encoding(whole || this.sequence.fresh), call);
      const rest = whole ? await this.share(ids, call) : ids;
      this.sequence.requireRoom(Math.max(0, this.sequence.rowsWith(rest) - 1));
      if (rest.length === 0) return;
      await this.reversibly(async (before) => {
        if (!continues) await this.sequence.beginTurn(before);
        await this.sequence.append(rest, call);
      });
    });
    return this.sequence.position;
  }

  /** Back to the ids that it has in common with a whole conversation; gives those that are left to consume. */
  async share(ids: Int32Array, call: Call): Promise<Int32Array> {
    const length = this.sequence.history.sharedWith(ids);
    if (length < this.sequence.history.known) await this.reversibly(() => this.sequence.rewind(length, call));
    return ids.subarray(length);
  }

  async reset(): Promise<void> {
    await this.during('reset', new Call(), () => this.sequence.reset());
    this.fault = null;
  }

  /** A session of its own with the same state and past. */
  fork(call: Call): Promise<Session> {
    return this.during('fork', call, async () => new Session(await this.sequence.fork(call)));
  }

  /** Back to an earlier position or to before a turn; resolves to the position. Stopped, it is as it was before. */
  async rewind(target: RewindTarget, call: Call): Promise<number> {
    await this.during('rewind', call, async () => {
      const length = rewindLength(this.sequence, target);
      if (length !== this.sequence.history.known)
        await this.reversibly(() => this.sequence.rewind(length, call));
    });
    return this.sequence.position;
  }

  /** The contents of a snapshot. */
  read(): Promise<Conversation> {
    return this.during('save', new Call(), () => this.sequence.read());
  }

  /** Takes up another conversation. */
  async take(conversation: Conversation): Promise<void> {
    await this.during('restore', new Call(), () => this.sequence.take(conversation));
    this.fault = null;
  }

  /** Ends what occupies it, and frees the slot. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.occupant?.end(CLOSED);
    await this.sequence.close();
  }

  private async reversibly(run: (before: UndoPoint) => Promise<void>): Promise<void> {
    const before = await this.sequence.undoPoint();
    try {
      await run(before);
    } catch (error) {
      await before.restore().catch(() => this.damage(error));
      throw error;
    } finally {
      before.release();
    }
  }

  private async during<T>(name: Occupant['name'], call: Call, run: () => Promise<T>): Promise<T> {
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
      await this.sequence.pin(call);
      return await run();
    } finally {
      this.leave(occupant);
      settle();
    }
  }
}

/** Ids known at the target; position 0 is a fresh session. @throws INVALID_ARGUMENT, POSITION_UNAVAILABLE */
function rewindLength({ history }: Sequence, target: RewindTarget): number {
  const { position, turn } = Object(target) as { position?: number; turn?: number };
  requireArgument(
    (position === undefined) !== (turn === undefined),
    `Rewind to { position } or to { turn }, found ${show(target)}${position === undefined ? '' : ' with both'}`,
  );
  if (position === undefined) return history.turnBegin(turn);
  requireArgument(
    Number.isInteger(position) && position >= 0 && position <= history.position,
    `position must be an integer from 0 to ${history.position}, found ${show(position)}`,
  );
  return position === 0 ? 0 : Math.min(history.known, position + 1);
}
