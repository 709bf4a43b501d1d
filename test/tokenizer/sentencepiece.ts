import { parseTokenizer } from '../../src/tokenizer/index.ts';
import type { JsonObject } from '../../src/types.ts';

/** Words whose parts merge, from the left to the right. */
const WORDS = ['▁the', '▁cat', '▁sat', '▁return', '▁1', '▁▁', '▁▁▁▁', 'll', 'He', 'Hell', 'Hello', '▁Hello'];
const CHARACTERS = [...'▁abcdefghijklmnopqrstuvwxyzH.1\n'];

const byte = (value: number) => `<0x${value.toString(16).toUpperCase().padStart(2, '0')}>`;
const special = (id: number, content: string, more: JsonObject = {}): JsonObject => ({
  ...{ id, content, special: true },
  ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
  ...more,
});

function vocabulary(): { vocab: Record<string, number>; merges: [string, string][] } {
  const tokens = ['<unk>', '<s>', '</s>', ...Array.from({ length: 256 }, (_, i) => byte(i)), ...CHARACTERS];
  const merges: [string, string][] = [];
  const known = new Set(tokens);
  const add = (left: string, right: string) => {
    if (known.has(left + right)) return;
    merges.push([left, right]);
    known.add(left + right);
    tokens.push(left + right);
  };
  for (const word of WORDS) {
    if (word === '▁▁▁▁') add('▁▁', '▁▁');
    else if (word === '▁Hello') add('▁', 'Hello');
    else if (word === 'Hello') add('Hell', 'o');
    else if (word === 'Hell') add('He', 'll');
    else for (let end = 2; end <= word.length; end++) add(word.slice(0, end - 1), word[end - 1]!);
  }
  return { vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };
}

const BOS = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [],
  special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
};

const LLAMA = {
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
};

const metaspace = (more: JsonObject): JsonObject => ({
  normalizer: null,
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', ...more },
  decoder: {
    type: 'Sequence',
    decoders: [{ type: 'ByteFallback' }, { type: 'Metaspace', replacement: '▁', ...more }],
  },
});

/** How tokenizers made of SentencePiece models write their spaces. */
export const KINDS: Readonly<Record<string, JsonObject>> = {
  llama: LLAMA,
  first: metaspace({ prepend_scheme: 'first', split: false }),
  always: metaspace({ prepend_scheme: 'always', split: true }),
  never: metaspace({ prepend_scheme: 'never', split: true }),
};

/** A small tokenizer in the manner of SentencePiece, as the text of a tokenizer.json. */
export function sentencePiece(kind: keyof typeof KINDS = 'llama', more: JsonObject = {}): JsonObject {
  const model = { type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true, ...vocabulary() };
  const added = [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')];
  return { added_tokens: added, post_processor: BOS, ...KINDS[kind], model, ...more };
}

export const VOCAB_SIZE = 512;

export function parse(json: JsonObject, config: JsonObject | null = null) {
  return parseTokenizer({ name: 'of a test', tokenizer: JSON.stringify(json), config }, VOCAB_SIZE);
}

/** The ids of tokens by their names. */
export function named(json: JsonObject, ...tokens: string[]): number[] {
  const { vocab } = json.model as { vocab: Record<string, number> } & JsonObject;
  const added = json.added_tokens as { id: number; content: string }[];
  return tokens.map((token) => vocab[token] ?? added.find(({ content }) => content === token)!.id);
}

export { special };
