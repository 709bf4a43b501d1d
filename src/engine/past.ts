import { EdgeError } from '../errors.ts';
import { Checkpoints } from '../state/checkpoints.ts';
import { TokenHistory } from '../state/history.ts';

/** What a session keeps on the host, so that it can be rewound. */
export interface Keeping {
  history: number; // ids
  states: number; // checkpoints
  every: number; // tokens between two of them
}

/** A session's past: its ids, its state at some of them, and where its turns began (−1: fresh). */
export interface Past {
  history: TokenHistory;
  checkpoints: Checkpoints;
  turns: number[];
}

/** The host memory of one session. */
export function newPast({ history, states, every }: Keeping): Past {
  return { history: new TokenHistory(history), checkpoints: new Checkpoints(states, every), turns: [] };
}

/** Why a sequence can't go back to `position`. */
export function unavailable(position: number, { history, checkpoints }: Past, current: number): EdgeError {
  const earliest = checkpoints.positions.find((kept) => kept >= history.earliest) ?? current;
  return new EdgeError(
    'POSITION_UNAVAILABLE',
    `Position ${position} can't be reached: the last ${history.capacity} tokens are known, and the earliest position left is ${earliest}. ` +
      'Load with a larger maxHistory or checkpointBytes to go further back',
  );
}
