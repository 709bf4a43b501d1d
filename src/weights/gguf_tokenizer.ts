import { EdgeError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { type PreTokenizer, preTokenizerJson, preTokenizerNamed } from './gguf_pretokenizers.ts';
import { mergesOfScores, sentencePieceParts } from './gguf_sentencepiece.ts';

/** Values of `tokenizer.ggml.token_type`. */
export const TOKEN_TYPES = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** The parts of a GGUF file's tokenizer, or why it is not read. */
type Kind = { pre: PreTokenizer } | { sentencePiece: true } | { unread: string };

function kindOf(metadata: JsonObject): Kind {
  const model = metadata['tokenizer.ggml.model'] ?? 'no_vocab';
  const name = metadata['tokenizer.ggml.pre'] ?? 'default';
  const named = (key: string, value: JsonValue) =>
    `the kind of tokenizer in it is not read: ${key} is ${JSON.stringify(value).slice(0, 80)}`;
  if (model === 'no_vocab' || model === 'none') return { unread: 'there is no vocabulary in it' };
  if (model === 'llama') return { sentencePiece: true };
  if (model !== 'gpt2') return { unread: named('tokenizer.ggml.model', model) };
  const pre = typeof name === 'string' ? preTokenizerNamed(name) : null;
  return pre ? { pre } : { unread: named('tokenizer.ggml.pre', name) };
}

/** Why a GGUF file gives no tokenizer; null if it gives one. */
export function ggufTokenizerLack(file: string, metadata: JsonObject): string | null {
  const kind = kindOf(metadata);
  return 'unread' in kind ? `${file}: ${kind.unread}` : null;
}

/**
 * The tokenizer that a GGUF file holds, as the text of a tokenizer.json: byte-level BPE with a pre-tokenizer that is
 * known, or SentencePiece's BPE. Of any other kind there is none, and the model takes ids only, unless a tokenizer.json
 * lies beside the file.
 * @throws INVALID_FILE where its tables contradict each other
 */
export function ggufTokenizer(file: string, metadata: JsonObject): string | null {
  const kind = kindOf(metadata);
  if ('unread' in kind) return null;
  const { tokens, vocab, added, typeOf } = readTokens(file, metadata);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const about = (head: JsonObject, addBos: boolean) => ({
    version: '1.0',
    added_tokens: added,
    ...head,
    post_processor: around(metadata, tokens, addBos) ?? ('pre' in kind ? byteLevel : null),
  });
  if ('pre' in kind) {
    const { nfc, ignoreMerges, addBos } = kind.pre;
    const merges = (list(file, metadata, 'merges', 'string') as string[]).map((merge) => split(file, merge));
    // A merge into what has no id is none: llama.cpp takes its parts, too.
    const known = merges.filter(([a, b]) => vocab.has(a) && vocab.has(b) && vocab.has(a + b));
    const head = {
      normalizer: nfc ? { type: 'NFC' } : null,
      pre_tokenizer: preTokenizerJson(kind.pre),
      decoder: byteLevel,
    };
    const options = { unk_token: null, ...(ignoreMerges && { ignore_merges: true }) };
    return textOf(about(head, addBos), options, vocab, known);
  }
  const scores = scoresOf(file, metadata, tokens.length);
  const merges = mergesOfScores(vocab, (piece) => {
    const id = vocab.get(piece)!;
    return typeOf(id) === TOKEN_TYPES.normal ? scores[id]! : null;
  });
  const spacePrefix = metadata['tokenizer.ggml.add_space_prefix'] !== false;
  const unknown = tokenOf(metadata, tokens, 'unk')?.token ?? null;
  const options = { unk_token: unknown, fuse_unk: true, byte_fallback: true };
  return textOf(about(sentencePieceParts(spacePrefix), true), options, vocab, merges);
}

/** A tokenizer.json. An object of so many keys is slow to make: its text is made of theirs. */
function textOf(
  head: JsonObject,
  options: JsonObject,
  vocab: ReadonlyMap<string, number>,
  merges: readonly [string, string][],
): string {
  const ids = Array.from(vocab, ([token, id]) => `${JSON.stringify(token)}:${id}`);
  const model = `{"type":"BPE",${JSON.stringify(options).slice(1, -1)},"vocab":{${ids.join()}},"merges":${JSON.stringify(merges)}}`;
  return `${JSON.stringify(head).slice(0, -1)},"model":${model}}`;
}

/** Tokens by id, those that stand for text, and those that are looked for before all else. */
function readTokens(file: string, metadata: JsonObject) {
  const tokens = list(file, metadata, 'tokens', 'string') as string[];
  const types =
    metadata['tokenizer.ggml.token_type'] === undefined
      ? []
      : (list(file, metadata, 'token_type', 'number') as number[]);
  if (types.length > 0 && types.length !== tokens.length)
    throw fault(file, 'token_type', `a type for each of the ${tokens.length} tokens, found ${types.length}`);
  const vocab = new Map<string, number>();
  const added: JsonObject[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id];
    if (type === TOKEN_TYPES.unused || content === '' || content === `[PAD${id}]`) continue; // rows that pad the embedding
    if (vocab.has(content)) continue;
    vocab.set(content, id);
    const special = type === TOKEN_TYPES.control || type === TOKEN_TYPES.unknown;
    if (!special && type !== TOKEN_TYPES.userDefined) continue;
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    added.push({ id, content, special, ...flags });
  }
  return { tokens, vocab, added, typeOf: (id: number) => types[id] ?? TOKEN_TYPES.normal };
}

function scoresOf(file: string, metadata: JsonObject, count: number): number[] {
  const scores = list(file, metadata, 'scores', 'number') as number[];
  if (scores.length !== count)
    throw fault(file, 'scores', `a score for each of the ${count} tokens, found ${scores.length}`);
  return scores;
}

const ID_KEYS = { bos: 'bos', eos: 'eos', unk: 'unknown' } as const;
/** Their ids in a SentencePiece file that names none. */
const DEFAULT_IDS = { bos: 1, eos: 2, unk: 0 } as const;

function tokenOf(metadata: JsonObject, tokens: readonly string[], key: keyof typeof ID_KEYS) {
  const absent = metadata['tokenizer.ggml.model'] === 'llama' ? DEFAULT_IDS[key] : undefined;
  const id = metadata[`tokenizer.ggml.${ID_KEYS[key]}_token_id`] ?? absent;
  const token = typeof id === 'number' ? tokens[id] : undefined;
  return token ? { id: id as number, token } : null;
}

/** Texts of control tokens that end a turn, whatever else a file says; llama.cpp knows them, too. */
const ENDS = new Set([
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<EOT>',
  '[EOT]',
]);

/** The id that begins a text, and those that end one: eos, eot, eom, and control tokens that end a turn by their text. */
export function ggufEnds(metadata: JsonObject): { bos: JsonValue; ends: JsonValue[] } {
  const { 'tokenizer.ggml.tokens': found, 'tokenizer.ggml.token_type': types } = metadata;
  const tokens = Array.isArray(found) ? (found as string[]) : [];
  const idOf = (key: string): JsonValue => metadata[`tokenizer.ggml.${key}_token_id`] ?? null;
  const eos = idOf('eos') ?? tokenOf(metadata, tokens, 'eos')?.id ?? null;
  const ends = [eos, idOf('eot'), idOf('eom')].filter((id) => id !== null);
  for (const [id, type] of Array.isArray(types) ? types.entries() : [])
    if (type === TOKEN_TYPES.control && ENDS.has(tokens[id] ?? '')) ends.push(id);
  return { bos: idOf('bos') ?? tokenOf(metadata, tokens, 'bos')?.id ?? null, ends: [...new Set(ends)] };
}

function split(file: string, merge: string): [string, string] {
  const at = merge.indexOf(' ', 1);
  if (at < 1 || at === merge.length - 1)
    throw fault(
      file,
      'merges',
      `two tokens with a space between them, found ${JSON.stringify(merge.slice(0, 80))}`,
    );
  return [merge.slice(0, at), merge.slice(at + 1)];
}

function list(file: string, metadata: JsonObject, key: string, of: 'string' | 'number'): JsonValue[] {
  const found = metadata[`tokenizer.ggml.${key}`];
  if (!Array.isArray(found) || found.some((item) => typeof item !== of))
    throw fault(file, key, `an array of ${of}s`);
  return found;
}

/** The post-processor that puts bos and eos around a text, if the file asks for either. */
function around(metadata: JsonObject, tokens: readonly string[], addBos: boolean): JsonObject | null {
  const wanted = (key: 'bos' | 'eos', otherwise: boolean) =>
    (metadata[`tokenizer.ggml.add_${key}_token`] ?? otherwise) === true
      ? tokenOf(metadata, tokens, key)
      : null;
  const [bos, eos] = [wanted('bos', addBos), wanted('eos', false)];
  if (!bos && !eos) return null;
  const special = (token: string): JsonObject => ({ SpecialToken: { id: token, type_id: 0 } });
  const template = (sequence: string): JsonObject[] => [
    ...(bos ? [special(bos.token)] : []),
    { Sequence: { id: sequence, type_id: 0 } },
    ...(eos ? [special(eos.token)] : []),
  ];
  const named = [bos, eos].filter((entry) => entry !== null);
  return {
    type: 'TemplateProcessing',
    single: template('A'),
    pair: [...template('A'), ...template('B')],
    special_tokens: Object.fromEntries(
      named.map(({ id, token }) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

/** A GGUF file's bos, eos and chat templates, in the keys of tokenizer_config.json. */
export function ggufTokenizerConfig(metadata: JsonObject): JsonObject {
  const config: JsonObject = {};
  const tokens = metadata['tokenizer.ggml.tokens'];
  for (const key of ['bos', 'eos'] as const) {
    const found = Array.isArray(tokens) ? tokenOf(metadata, tokens as string[], key) : null;
    if (found) config[`${key}_token`] = found.token;
  }
  const templates = Object.entries(metadata).flatMap(([key, template]): JsonObject[] => {
    const match = /^tokenizer\.chat_template(?:\.(.+))?$/s.exec(key);
    return match && typeof template === 'string' ? [{ name: match[1] ?? 'default', template }] : [];
  });
  if (templates.length > 0) config.chat_template = templates;
  return config;
}

function fault(file: string, key: string, expected: string): EdgeError {
  return new EdgeError('INVALID_FILE', `${file}: expected tokenizer.ggml.${key} to be ${expected}`);
}
