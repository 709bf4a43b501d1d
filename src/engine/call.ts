import { EdgeError } from '../errors.ts';

/** Something that runs and can be told to stop; the scheduler looks between steps. */
export class Call {
  private why: EdgeError | null = null;

  get aborted(): boolean {
    return this.why !== null;
  }

  /** What an aborted call rejects with. */
  get reason(): EdgeError {
    return this.why ?? new EdgeError('INTERNAL', 'The call was not aborted');
  }

  abort(reason: EdgeError = new EdgeError('ABORTED', 'The operation was aborted')): void {
    this.why ??= reason;
  }

  check(): void {
    if (this.why) throw this.why;
  }
}
