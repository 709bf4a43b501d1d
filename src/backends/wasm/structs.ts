import { MAX_BIAS, MAX_RECENT, MAX_TOP } from '../../ops/sample.ts';

/*
 * The structs that TypeScript and the module share: their fields in order, of one word or of as many as are given.
 * wasm/structs.h is made of them, and the compiler holds the C structs to it; test/wasm/structs.test.ts writes it (-u).
 */
type Field = string | readonly [name: string, words: number];
type NameOf<F> = F extends readonly [infer N, number] ? N : F;

/** The word at which each field begins, and `WORDS` in all. */
function struct<const F extends readonly Field[]>(
  ...fields: F
): Record<NameOf<F[number]> & string, number> & { WORDS: number } {
  const words: Record<string, number> = {};
  let next = 0;
  for (const field of fields) {
    const [name, count] = typeof field === 'string' ? [field, 1] : field;
    words[name] = next;
    next += count;
  }
  return { ...words, WORDS: next } as ReturnType<typeof struct<F>>;
}

// biome-ignore format: fields that belong together share a line
/** By their names in C. */
export const structs = {
  segment: struct('slot', 'position', 'first', 'rows'),
  call: struct('op', 'arguments'),
  step: struct(
    'rows', 'n_segments', 'n_outputs', 'segments', 'ids', 'outputs', 'scratch',
    'n_logits', 'logit_rows', 'logits', 'logits_stride',
    'calls', 'first_call', 'last_call', 'threads', 'sum16',
  ),
  output: struct(
    'logits_row', 'wants', 'target',
    'temperature', 'top_k', 'top_p', 'min_p', 'repetition', 'frequency', 'presence', 'seed_lo', 'seed_hi',
    'position', 'n_recent', 'n_bias', 'n_top', // until here from temperature on as writeSampleParams writes them
    'target_logprob', 'id', 'logprob', 'reserved', ['top_ids', MAX_TOP], ['top_logprobs', MAX_TOP],
    ['recent', MAX_RECENT], ['bias_ids', MAX_BIAS], ['bias_values', MAX_BIAS],
  ),
  pack_args: struct(
    'target', 'tile_bytes', 'rows', 'groups', 'group_words', 'number_bytes', 'has_bias', 'ggml', 'bits',
    'codes', 'codes_row', 'codes_group', 'scale', 'bias', 'number_row', 'number_group',
    'pool', 'threads', 'odd',
  ),
  pool_block: struct(
    'order', 'starters', 'stop', 'work', 'argument', 'lost', ['line0', 26],
    'arrived', ['line1', 31], 'phase', 'sleepers', ['line2', 30], 'claimed', ['line3', 31],
  ),
};

type Struct = Readonly<Record<string, number>>;

/** Writes words by the names of their fields. */
export function writeFields<S extends Struct>(
  words: Uint32Array,
  struct: S,
  values: { readonly [K in keyof S]?: number },
): void {
  for (const [name, value] of Object.entries(values as Struct)) words[struct[name]!] = value;
}
