/** A number that says how the next token is drawn: a row of SAMPLING_OPTIONS. */
interface SamplingOption {
  /** What turns it off. */
  off: number;
  /** How kernels read it: a count is one of tokens, u32, and more than the vocabulary is all of it. */
  word: 'f32' | 'count';
  /** The values that it takes, in words. */
  range: string;
  fits(value: number): boolean;
  /** Its field in generation_config.json, and in a GGUF file after 'general.sampling.'. */
  fields?: readonly [config: string, gguf: string];
}

const upTo = (limit: number) => (value: number) => Math.abs(value) <= limit;

/**
 * Everything that checks, reads, prints or writes sampling options goes by this list. What they do is in sample.ts. The
 * order is that of the words in wasm/ops/sample.h and shaders/wgsl/lib/output.wgsl.
 */
export const SAMPLING_OPTIONS = {
  temperature: {
    off: 0,
    word: 'f32',
    range: '0, or from 0.0001 to 10000',
    fits: (value) => value === 0 || (value >= 1e-4 && value <= 1e4),
    fields: ['temperature', 'temp'],
  },
  topK: {
    off: 0,
    word: 'count',
    range: 'an integer of at least 0',
    fits: (value) => Number.isSafeInteger(value) && value >= 0,
    fields: ['top_k', 'top_k'],
  },
  topP: {
    off: 1,
    word: 'f32',
    range: 'above 0 and at most 1',
    fits: (value) => value > 0 && value <= 1,
    fields: ['top_p', 'top_p'],
  },
  minP: {
    off: 0,
    word: 'f32',
    range: 'at least 0 and below 1',
    fits: (value) => value >= 0 && value < 1,
    fields: ['min_p', 'min_p'],
  },
  repetitionPenalty: {
    off: 1,
    word: 'f32',
    range: 'from 0.01 to 100',
    fits: (value) => value >= 0.01 && value <= 100,
    fields: ['repetition_penalty', 'penalty_repeat'],
  },
  frequencyPenalty: { off: 0, word: 'f32', range: 'from -100 to 100', fits: upTo(100) },
  presencePenalty: { off: 0, word: 'f32', range: 'from -100 to 100', fits: upTo(100) },
} as const satisfies Record<string, SamplingOption>;

export type SamplingName = keyof typeof SAMPLING_OPTIONS;
export type Sampling = Record<SamplingName, number>;

/** With names and rows, in order. */
export const SAMPLING_ROWS = Object.entries(SAMPLING_OPTIONS) as [SamplingName, SamplingOption][];

/** What the command line says of them; `value` stands for theirs. */
export const SAMPLING_HELP: Record<SamplingName, { value: string; help: string }> = {
  temperature: {
    value: 'T',
    help: '0 takes the most probable token (the default, unless the model has one)',
  },
  topK: { value: 'K', help: 'sample from the K most probable tokens' },
  topP: { value: 'P', help: 'sample from the most probable tokens that make up P' },
  minP: { value: 'P', help: 'leave out tokens less probable than P times the best' },
  repetitionPenalty: { value: 'X', help: '1 is none' },
  frequencyPenalty: { value: 'X', help: '0 is none' },
  presencePenalty: { value: 'X', help: '0 is none' },
};
