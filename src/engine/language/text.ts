import type { Sampled } from '../../ops/sample.ts';
import type { DecodeStream, Tokenizer } from '../../tokenizer/index.ts';
import type { Token } from '../types.ts';
import type { Settings } from './options.ts';
import { StopStrings } from './stop_strings.ts';

/** The text of a generation, token by token; without a tokenizer it is empty. */
export class Transcript {
  private stream: DecodeStream | null = null;
  private readonly stops: StopStrings;

  constructor(
    private readonly tokenizer: Tokenizer | null,
    private readonly settings: Settings,
  ) {
    this.stops = new StopStrings(settings.stop);
  }

  /** Begins after `before`, of which the last ids are enough. */
  follow(before: Int32Array): void {
    this.stream = this.tokenizer?.stream(before) ?? null;
  }

  /** A token with the text that it allows to emit, and the stop string that it completes, if any. */
  add(sampled: Sampled): { token: Token; stop: string | null } {
    const { logprobs } = this.settings;
    const top = (logprobs ?? 0) > 0 ? sampled.top.map((each) => this.alternative(each)) : null;
    const { text, stop } = this.stops.push(this.stream?.push(sampled.id) ?? '');
    const token: Token = { id: sampled.id, text };
    if (logprobs !== null) token.logprob = sampled.logprob;
    if (top) token.top = top;
    return { token, stop };
  }

  /** The text that was held back, at the end. */
  end(): string {
    const { text, stop } = this.stops.push(this.stream?.flush() ?? '');
    return stop === null ? text + this.stops.flush() : text;
  }

  /** One of the most probable tokens, with the text that it would add here. */
  private alternative({ id, logprob }: Sampled['top'][number]): NonNullable<Token['top']>[number] {
    return { id, text: this.stream?.peek(id) ?? '', logprob };
  }
}
