/**
 * Looks for stop strings in a text that comes in pieces, wherever the pieces end. What might be the beginning of a
 * stop string is held back; a stop string that was found is not part of the text, nor is what follows it.
 */
export class StopStrings {
  private held = '';
  private readonly longest: number;

  constructor(private readonly stops: readonly string[]) {
    this.longest = Math.max(0, ...stops.map((stop) => stop.length));
  }

  /** The part of the text so far that may be emitted, and the stop string that ends it, if any. */
  push(piece: string): { text: string; stop: string | null } {
    if (this.stops.length === 0) return { text: piece, stop: null };
    const text = this.held + piece;
    const match = this.find(text);
    if (match) {
      this.held = '';
      return { text: text.slice(0, match.begin), stop: match.stop };
    }
    const keep = this.beginning(text);
    this.held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stop: null };
  }

  /** The text that was held back, at the end. */
  flush(): string {
    const text = this.held;
    this.held = '';
    return text;
  }

  /** The stop string that is complete first, the longest of those; so it doesn't matter how the text is cut. */
  private find(text: string): { begin: number; stop: string } | null {
    let best: { begin: number; stop: string } | null = null;
    for (const stop of this.stops) {
      const begin = text.indexOf(stop);
      if (begin < 0) continue;
      const end = begin + stop.length;
      const bestEnd = best ? best.begin + best.stop.length : Number.POSITIVE_INFINITY;
      if (end < bestEnd || (end === bestEnd && begin < best!.begin)) best = { begin, stop };
    }
    return best;
  }

  /** The length of the longest end of `text` that a stop string begins with. */
  private beginning(text: string): number {
    for (let n = Math.min(text.length, this.longest - 1); n > 0; n--) {
      const end = text.slice(text.length - n);
      if (this.stops.some((stop) => stop.length > n && stop.startsWith(end))) return n;
    }
    return 0;
  }
}
