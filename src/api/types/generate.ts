import type { Abortable } from './abortable.ts';
import type { PromptOptions } from './prompt.ts';

/** Of what is not given, the model's `generationDefaults` apply; without them, greedy and no penalty. */
export interface GenerateOptions extends PromptOptions {
  /** The most tokens to generate, at least 1. Default 256. */
  maxTokens?: number;
  /** Divides the logits: 0.0001 to 10,000, or 0, which takes the most probable token. Default 0. */
  temperature?: number;
  /** Samples from the `topK` most probable tokens only; 0 keeps all. Default 0. */
  topK?: number;
  /** Samples from the fewest most probable tokens that make up `topP` of the probability: above 0, at most 1. Default 1. */
  topP?: number;
  /** Leaves out tokens less probable than `minP` times the most probable one: 0 to below 1. Default 0. */
  minP?: number;
  /** Divides the positive logits of the last 64 tokens, and multiplies the negative ones: 0.01 to 100. Default 1. */
  repetitionPenalty?: number;
  /** Taken off a token's logit for each time that it is among the last 64: −100 to 100. Default 0. */
  frequencyPenalty?: number;
  /** Taken off the logit of each token that is among the last 64: −100 to 100. Default 0. */
  presencePenalty?: number;
  /** Added to the logits of these token ids, 1024 at most; −Infinity bans a token. Default: none. */
  logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number>;
  /** An integer in [0, 2^53): the same seed draws the same tokens. Default: a random one, which the result tells. */
  seed?: number;
  /** Ends before any of these texts, 256 of 10,000 characters at most; it is not part of the result. Default: none. */
  stop?: string | readonly string[];
  /** Ends at any of these token ids, which is not part of the result. Default: none beside eos. */
  stopTokens?: readonly number[];
  /** Goes on after the tokens that end a text. Default false. */
  ignoreEos?: boolean;
  /**
   * `true` reports the log-probability of each token; a number also the `n` most probable ones, 20 at most. Default
   * false.
   */
  logprobs?: boolean | number;
}

/** Options of `generate`. */
export interface GenerationOptions extends GenerateOptions, Abortable {
  /** Keeps the tokens of a loop for a `result()` that is asked for later; default false: see `result`. */
  collect?: boolean | undefined;
}

/** Options of `logits`. */
export interface LogitsOptions extends PromptOptions, Abortable {
  /** Positions, counted from the end, of which logits are wanted. Default: all. */
  last?: number;
}

/** Options of `generate` that a model's generation_config.json can have. */
export type GenerationDefaults = Pick<
  GenerateOptions,
  'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty'
>;

/** A generated token. */
export interface Token {
  /** Its id; −1 for a last piece of text without a token of its own. */
  id: number;
  /** Its text, in whole characters; empty while a character is incomplete. */
  text: string;
  /** Its natural log-probability before any sampling option, if `logprobs` asked for it. */
  logprob?: number;
  /** The most probable tokens here, the best first, if `logprobs` is a number above 0. */
  top?: {
    /** Its id. */
    id: number;
    /** Its text; U+FFFD for what is no whole character. */
    text: string;
    /** Its natural log-probability. */
    logprob: number;
  }[];
}

/**
 * Why a generation ended: `'eos'` a token that ends a text, `'stop'` a stop string or stop token, `'length'` `maxTokens`
 * or the context's end, `'aborted'` by the caller.
 */
export type FinishReason = 'eos' | 'stop' | 'length' | 'aborted';

/** What a generation took. */
export interface Usage {
  /** Tokens of the prompt. */
  promptTokens: number;
  /** Those of them that were consumed before: by prompts in the prefix cache, or by the session, of `{ messages }`. */
  cachedTokens: number;
  /** Tokens that were generated. */
  completionTokens: number;
  /** Milliseconds from the prompt's ids to the first token. */
  prefillMs: number;
  /** Milliseconds from the first token to the last one. */
  decodeMs: number;
}

/** A generation that has ended. */
export interface GenerateResult {
  /** The whole text. */
  text: string;
  /** All tokens. */
  tokens: Token[];
  /** Why it ended. */
  finishReason: FinishReason;
  /** The stop string or stop token that matched; else null. */
  stop: string | number | null;
  /** The seed that tokens were drawn with. */
  seed: number;
  /** What it took. */
  usage: Usage;
}

/** Log-probabilities of a given text. */
export interface Score {
  /** Its token ids, [n]. */
  ids: Int32Array;
  /** Natural log-probability of each, [n]; NaN for a first token that nothing precedes. */
  logprobs: Float32Array;
  /** Sum over the scored tokens. */
  total: number;
  /** exp(−total / number of scored tokens). */
  perplexity: number;
}
