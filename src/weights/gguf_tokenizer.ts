import { EdgeError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';

/** Values of `tokenizer.ggml.pre` whose pattern is GPT-2's, and whether their makers normalize to NFC before it. */
const PRE: Readonly<Record<string, { nfc: boolean }>> = {
  'gpt-2': { nfc: false },
  'gpt-neox': { nfc: true },
  mpt: { nfc: true }, // what converters write for GPT-NeoX's vocabulary
  olmo: { nfc: true },
  default: { nfc: true }, // of converters older than the key, whose Mamba models have GPT-NeoX's vocabulary
};

const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

/**
 * The tokenizer that a GGUF file holds, as the text of a tokenizer.json: byte-level BPE with GPT-2's pattern. Of any other kind (`tokenizer.ggml.model`,
 * `tokenizer.ggml.pre`) there is none, and the model takes ids only, unless a tokenizer.json lies beside the file.
 * @throws INVALID_FILE where its tables contradict each other
 */
export function ggufTokenizer(file: string, metadata: JsonObject): string | null {
  const value = (key: string): JsonValue | undefined => metadata[`tokenizer.ggml.${key}`];
  const pre = value('pre') ?? 'default';
  if (value('model') !== 'gpt2' || typeof pre !== 'string' || !Object.hasOwn(PRE, pre)) return null;
  const tokens = list(file, metadata, 'tokens', 'string') as string[];
  const merges = list(file, metadata, 'merges', 'string') as string[];
  const types =
    value('token_type') === undefined ? [] : (list(file, metadata, 'token_type', 'number') as number[]);
  if (types.length > 0 && types.length !== tokens.length)
    throw fault(file, 'token_type', `a type for each of the ${tokens.length} tokens, found ${types.length}`);

  const vocab = new Map<string, number>();
  const added: JsonObject[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id];
    if (type === UNUSED || content === '' || content === `[PAD${id}]`) continue; // rows that pad the embedding
    if (vocab.has(content)) continue;
    vocab.set(content, id);
    if (type !== CONTROL && type !== USER_DEFINED) continue;
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    added.push({ id, content, special: type === CONTROL, ...flags });
  }
  const pairs = merges.map((merge) => split(file, merge));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const head: JsonObject = {
    version: '1.0',
    added_tokens: added,
    normalizer: PRE[pre]!.nfc ? { type: 'NFC' } : null,
    pre_tokenizer: byteLevel,
    post_processor: around(metadata, tokens) ?? byteLevel,
    decoder: byteLevel,
  };
  // An object of so many keys is slow to make: its text is made of theirs.
  const ids = Array.from(vocab, ([token, id]) => `${JSON.stringify(token)}:${id}`);
  // A merge into what has no id is none: llama.cpp takes its parts, too.
  const known = pairs.filter(([a, b]) => vocab.has(a) && vocab.has(b) && vocab.has(a + b));
  const model = `{"type":"BPE","unk_token":null,"vocab":{${ids.join()}},"merges":${JSON.stringify(known)}}`;
  return `${JSON.stringify(head).slice(0, -1)},"model":${model}}`;
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

function tokenOf(metadata: JsonObject, tokens: readonly string[], key: 'bos' | 'eos') {
  const id = metadata[`tokenizer.ggml.${key}_token_id`];
  const token = typeof id === 'number' ? tokens[id] : undefined;
  return token ? { id: id as number, token } : null;
}

/** The post-processor that puts bos and eos around a text, if the file asks for either. */
function around(metadata: JsonObject, tokens: readonly string[]): JsonObject | null {
  const wanted = (key: 'bos' | 'eos') =>
    metadata[`tokenizer.ggml.add_${key}_token`] === true ? tokenOf(metadata, tokens, key) : null;
  const [bos, eos] = [wanted('bos'), wanted('eos')];
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

/** What a GGUF file says of bos, eos and chat templates, in the words of tokenizer_config.json. */
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
