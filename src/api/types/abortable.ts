/** Options of any call that can be aborted. */
export interface Abortable {
  /** Ends the call, which rejects with ABORTED. Default: none. */
  signal?: AbortSignal | undefined;
}
