import type { Sampled } from '../ops/sample.ts';
import type { DecodeStream, Tokenizer } from '../tokenizer/index.ts';
import type { Settings } from './options.ts';
import { StopStrings } from './stop_strings.ts';
import type { Token } from './types.ts';

/** The text of a generation, token by token; without a tokenizer it is empty. */
export class Transcript {
  private readonly stream: DecodeStream | null;
  private readonly stops: StopStrings;

  constructor(
    private readonly tokenizer: Tokenizer | null,
    private readonly settings: Settings,
  ) {
    this.stream = tokenizer?.stream() ?? null;
    this.stops = new StopStrings(settings.stop);
  }

  /** A token with the text that it allows to emit, and the stop string that it completes, if any. */
  add(sampled: Sampled): { token: Token; stop: string | null } {
    const { text, stop } = this.stops.push(this.stream?.push(sampled.id) ?? '');
    const token: Token = { id: sampled.id, text };
    if (this.settings.logprobs !== null) {
      token.logprob = sampled.logprob;
      if (this.settings.logprobs > 0)
        token.top = sampled.top.map(({ id, logprob }) => ({ id, text: this.textOf(id), logprob }));
    }
    return { token, stop };
  }

  /** What was held back, when no more tokens come. */
  end(): string {
    const { text, stop } = this.stops.push(this.stream?.flush() ?? '');
    return stop === null ? text + this.stops.flush() : text;
  }

  private textOf(id: number): string {
    return this.tokenizer?.decode([id]) ?? '';
  }
}
