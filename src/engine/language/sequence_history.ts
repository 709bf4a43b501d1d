import { EdgeError, requireArgument, show } from '../../errors.ts';
import { MAX_RECENT } from '../../ops/sample.ts';
import { Checkpoints } from '../../state/checkpoints.ts';
import { History } from '../../state/history.ts';
import type { StateCopy } from '../core/copies.ts';
import type { Device } from '../core/device.ts';

/** Beginnings of turns that are remembered. */
const MAX_TURNS = 4096;

/** Where a conversation was. */
export interface HistoryMark {
  readonly position: number;
  readonly pending: number | null;
  readonly recent: readonly number[];
  readonly length: number; // of the history
  readonly turns: number;
}

/** What a session remembers beside its state, to go back to. */
export interface Past {
  ids: History;
  checkpoints: Checkpoints<StateCopy>;
}

/** Room for a conversation's past. */
export function newPast(device: Device): Past {
  return {
    ids: new History(device.settings.maxHistory + MAX_RECENT),
    checkpoints: new Checkpoints(device.checkpoints),
  };
}

/** What a sequence knows beside its slot's state; `past` is null where nobody will go back. */
export class SequenceHistory {
  position = 0; // consumed tokens
  pending: number | null = null;
  private recentIds: number[] = []; // the last ids, pending one included; ≤ MAX_RECENT
  private begins: number[] = []; // ids known at the beginning of each turn; ≤ MAX_TURNS, the last ones
  private turnCount = 0;

  constructor(readonly past: Past | null) {}

  get fresh(): boolean {
    return this.position === 0 && this.pending === null;
  }

  /** Ids given or sampled so far. */
  get known(): number {
    return this.position + (this.pending === null ? 0 : 1);
  }

  get turns(): number {
    return this.turnCount;
  }

  get recent(): readonly number[] {
    return this.recentIds;
  }

  /** How many ids `ids` begins with that are known: none where the beginning is forgotten. */
  sharedWith(ids: Int32Array): number {
    const history = this.past?.ids;
    if (!history || history.first > 0) return 0;
    const known = history.slice(0, Math.min(history.length, ids.length));
    const parting = known.findIndex((id, i) => id !== ids[i]);
    return parting < 0 ? known.length : parting;
  }

  remember(ids: ArrayLike<number>): void {
    this.past?.ids.push(ids);
    for (let i = Math.max(0, ids.length - MAX_RECENT); i < ids.length; i++) this.recentIds.push(ids[i]!);
    if (this.recentIds.length > MAX_RECENT) this.recentIds.splice(0, this.recentIds.length - MAX_RECENT);
  }

  beginTurn(): void {
    this.begins.push(this.known);
    this.turnCount += 1;
    if (this.begins.length > MAX_TURNS) this.begins.shift();
  }

  mark(): HistoryMark {
    const { position, pending, turnCount: turns } = this;
    return { position, pending, recent: this.recentIds.slice(), length: this.known, turns };
  }

  /** Back to a mark of this conversation, the state being that of then. */
  return(mark: HistoryMark): void {
    this.position = mark.position;
    this.pending = mark.pending;
    this.recentIds = mark.recent.slice();
    this.forgetTurns(mark.turns);
    this.past?.ids.truncate(mark.length);
    this.past?.checkpoints.truncate(mark.position);
  }

  /** Another conversation, of which no more than this is known. */
  restart(position: number, pending: number | null, recent: readonly number[]): void {
    this.position = position;
    this.pending = pending;
    this.recentIds = recent.slice();
    this.begins = [];
    this.turnCount = 0;
    this.past?.ids.restart(this.known, recent);
    this.past?.checkpoints.clear();
  }

  /** All that this one knows, for a copy of its state; of the checkpoints `some`. */
  copy(checkpoints: Checkpoints<StateCopy> | null, some?: (copy: StateCopy) => boolean): SequenceHistory {
    const { past } = this;
    const copy = new SequenceHistory(past && checkpoints ? { ids: past.ids.copy(), checkpoints } : null);
    if (past && checkpoints) past.checkpoints.copyTo(checkpoints, some);
    copy.position = this.position;
    copy.pending = this.pending;
    copy.recentIds = this.recentIds.slice();
    copy.begins = this.begins.slice();
    copy.turnCount = this.turnCount;
    return copy;
  }

  /** Ids known when a turn began; −1 is the last turn. @throws INVALID_ARGUMENT, POSITION_UNAVAILABLE */
  turnBegin(turn: number | undefined): number {
    const count = this.turnCount;
    requireArgument(
      turn !== undefined && Number.isInteger(turn) && turn >= -count && turn < count,
      `turn must be an integer from ${-count} to ${count - 1} (this session has ${count} turns), found ${show(turn)}`,
    );
    const index = turn < 0 ? count + turn : turn;
    const forgotten = this.turnCount - this.begins.length;
    if (index >= forgotten) return this.begins[index - forgotten]!;
    throw new EdgeError(
      'POSITION_UNAVAILABLE',
      `Turn ${index} is no longer remembered; the earliest that is left is turn ${forgotten}`,
    );
  }

  /** The state from which `target` consumed tokens can be reached, as its position. @throws POSITION_UNAVAILABLE */
  baseOf(target: number): { position: number; copy: StateCopy | null } {
    const { ids, checkpoints } = this.past!;
    const kept = checkpoints.nearest(target);
    if (kept && this.reaches(kept.position)) return { position: kept.position, copy: kept.value };
    if (ids.first === 0) return { position: 0, copy: null };
    const earliest = checkpoints.positions.find((position) => this.reaches(position)) ?? this.position;
    throw new EdgeError(
      'POSITION_UNAVAILABLE',
      `Position ${target} can no longer be reached; the earliest that is left is ${earliest}. Load the model with a ` +
        'larger maxHistory or checkpointBytes, or save snapshots, to go back further',
    );
  }

  /** Back to where `length` ids were known, the state being that of `length − 1` consumed tokens. */
  rewound(length: number): void {
    const { ids, checkpoints } = this.past!;
    const [pending] = ids.slice(length - 1, length);
    this.position = length - 1;
    this.pending = pending!;
    this.recentIds = [...ids.slice(Math.max(ids.first, length - MAX_RECENT), length)];
    while (this.begins.length > 0 && this.begins.at(-1)! >= length) this.forgetTurns(this.turnCount - 1);
    ids.truncate(length);
    checkpoints.truncate(this.position);
  }

  /** Are the ids there that follow `position`, and those that penalties saw then? */
  private reaches(position: number): boolean {
    const { first } = this.past!.ids;
    return first === 0 || position + 1 >= first + MAX_RECENT;
  }

  private forgetTurns(turns: number): void {
    this.begins.length = Math.max(0, this.begins.length - (this.turnCount - turns));
    this.turnCount = turns;
  }
}
