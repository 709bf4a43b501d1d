import { EdgeError } from '../errors.ts';
import { Call } from './call.ts';
import type { Sequence } from './sequence.ts';

/** What occupies a session. */
export interface Occupant {
  name: 'append' | 'generate' | 'reset';
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
      const before = ids.length > 0 ? await this.sequence.checkpoint() : null;
      try {
        await this.sequence.append(ids, call);
      } catch (error) {
        await before?.restore().catch(() => this.damage(error));
        throw error;
      } finally {
        before?.release();
      }
    });
    return this.sequence.position;
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

  private async during(name: 'append' | 'reset', call: Call, run: () => Promise<void>): Promise<void> {
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
