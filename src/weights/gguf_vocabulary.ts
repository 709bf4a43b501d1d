import type { JsonObject, JsonValue } from '../types.ts';
import { preTokenizerOf } from './gguf_pretokenizers.ts';
import { mergesOfScores, SPACE } from './gguf_sentencepiece.ts';
import { TOKEN_TYPES } from './gguf_tokenizer.ts';
import type { GgufValue } from './gguf_write.ts';
import { isObject, parseJsonObject } from './json.ts';

type Metadata = Record<string, GgufValue>;

/** A tokenizer.json as GGUF has it; where it cannot, the file says that it has no vocabulary, and `lack` why. */
export interface GgufVocabulary {
  metadata: Metadata;
  lack: string | null;
}

/** The part of a tokenizer.json that both kinds read. */
interface Source {
  json: JsonObject;
  model: JsonObject;
  vocab: JsonObject;
  merges: readonly [string, string][];
  tokens: string[]; // by id, padded to the model's vocabulary
  types: number[];
}

/** Byte-level BPE with a pre-tokenizer that GGUF has a name for, or BPE with bytes to fall back to, as SentencePiece's. */
export function ggufVocabulary(
  tokenizer: string | null,
  vocabSize: number,
  bos: number | null,
  eos: readonly number[],
): GgufVocabulary {
  const none = (lack: string): GgufVocabulary => {
    return { metadata: { 'tokenizer.ggml.model': { string: 'no_vocab' }, ...idsOf(bos, eos) }, lack };
  };
  if (tokenizer === null) return none('the model came without a tokenizer.json');
  const json = parseJsonObject('tokenizer.json', new TextEncoder().encode(tokenizer));
  const { model } = json;
  if (!isObject(model) || model.type !== 'BPE' || !isObject(model.vocab) || !Array.isArray(model.merges))
    return none(
      `its tokenizer.json has a model of type ${show(isObject(model) ? model.type : model)}, not BPE`,
    );
  const merges = pairsOf(model.merges);
  const source = { json, model, vocab: model.vocab, merges, ...tokensOf(json, model, vocabSize) };
  const found = model.byte_fallback === true ? sentencePiece(source) : byteLevel(source);
  if (typeof found === 'string') return none(found);
  return {
    metadata: {
      ...found,
      'tokenizer.ggml.tokens': { strings: source.tokens },
      'tokenizer.ggml.token_type': { i32s: source.types },
      ...around(json, bos, eos),
    },
    lack: null,
  };
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? 'none' : JSON.stringify(value).slice(0, 120);
}

function pairsOf(merges: readonly JsonValue[]): [string, string][] {
  return merges.map((merge): [string, string] => {
    if (Array.isArray(merge)) return [String(merge[0]), String(merge[1])];
    const at = String(merge).indexOf(' ', 1);
    return [String(merge).slice(0, at), String(merge).slice(at + 1)];
  });
}

function tokensOf(json: JsonObject, model: JsonObject, vocabSize: number) {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types: number[] = Array.from({ length: vocabSize }, () => TOKEN_TYPES.unused);
  const put = (id: unknown, token: unknown, type: number) => {
    if (typeof id !== 'number' || typeof token !== 'string' || !(id in tokens)) return;
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(model.vocab as JsonObject)) put(id, token, TOKEN_TYPES.normal);
  for (const entry of Array.isArray(json.added_tokens) ? json.added_tokens : [])
    if (isObject(entry))
      put(entry.id, entry.content, entry.special === true ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined);
  return { tokens, types };
}

/** The steps of a component that may be a Sequence of them. */
function steps(component: JsonValue | undefined, key: string): JsonObject[] {
  if (!isObject(component)) return [];
  const list = component.type === 'Sequence' ? component[key] : [component];
  return Array.isArray(list) ? list.filter(isObject) : [];
}

/** Metadata, or what keeps it from being such. */
function byteLevel({ json, model, merges }: Source): Metadata | string {
  const normalizers = steps(json.normalizer, 'normalizers');
  if (normalizers.some(({ type }) => type !== 'NFC'))
    return `GGUF has no place for its normalizer ${show(json.normalizer)}`;
  const facts = { nfc: normalizers.length > 0, ignoreMerges: model.ignore_merges === true };
  const pre = preTokenizerOf(json.pre_tokenizer, facts);
  if (!pre) return `GGUF has no name for its pre-tokenizer ${show(json.pre_tokenizer)}`;
  return {
    'tokenizer.ggml.model': { string: 'gpt2' },
    'tokenizer.ggml.pre': { string: pre.names[0]! },
    'tokenizer.ggml.merges': { strings: merges.map((pair) => pair.join(' ')) },
  };
}

/** The scores that give the same merges. Sets the types of bytes and of the unknown token. */
function sentencePiece({ json, model, vocab, merges, tokens, types }: Source): Metadata | string {
  const spacePrefix = spacePrefixOf(json);
  if (spacePrefix === null)
    return `GGUF has no place for its normalizer ${show(json.normalizer)} with pre-tokenizer ${show(json.pre_tokenizer)}`;
  const unknown = typeof model.unk_token === 'string' ? vocab[model.unk_token] : undefined;
  for (const [id, token] of tokens.entries())
    if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = TOKEN_TYPES.byte;
  if (typeof unknown === 'number') types[unknown] = TOKEN_TYPES.unknown;
  const ranks = new Map<string, number>();
  const kept = merges.filter(([a, b]) => types[vocab[a + b] as number] === TOKEN_TYPES.normal);
  for (const [rank, [a, b]] of kept.entries()) if (!ranks.has(a + b)) ranks.set(a + b, rank);
  const scores = tokens.map((token, id) => -(ranks.get(token) ?? kept.length + id));
  const ids = new Map(Object.entries(vocab) as [string, number][]);
  const again = mergesOfScores(ids, (piece) => {
    const id = ids.get(piece)!;
    return types[id] === TOKEN_TYPES.normal ? scores[id]! : null;
  });
  if (!sameMerges(kept, again)) return 'its merges are not in an order that scores of pieces can give';
  return {
    'tokenizer.ggml.model': { string: 'llama' },
    'tokenizer.ggml.pre': { string: 'default' },
    'tokenizer.ggml.scores': { f32s: scores },
    'tokenizer.ggml.add_space_prefix': { bool: spacePrefix },
    ...(typeof unknown === 'number' && { 'tokenizer.ggml.unknown_token_id': { u32: unknown } }),
  };
}

/** The same pairs, and what they make in the same order. */
function sameMerges(a: readonly [string, string][], b: readonly [string, string][]): boolean {
  const pairs = new Set(b.map((pair) => pair.join('\0')));
  return (
    a.length === b.length &&
    a.every((pair, i) => pair.join('') === b[i]!.join('') && pairs.has(pair.join('\0')))
  );
}

/** Whether a space comes before the text; null where spaces are not made ▁. */
function spacePrefixOf({ normalizer, pre_tokenizer: pre }: JsonObject): boolean | null {
  const normalizers = steps(normalizer, 'normalizers');
  if (isObject(pre)) {
    const { prepend_scheme = pre.add_prefix_space === false ? 'never' : 'always' } = pre;
    const metaspace = pre.type === 'Metaspace' && (pre.replacement ?? SPACE) === SPACE;
    return metaspace && normalizers.length === 0 ? prepend_scheme !== 'never' : null;
  }
  const prepends = normalizers[0]?.type === 'Prepend' && normalizers[0].prepend === SPACE;
  const rest = prepends ? normalizers.slice(1) : normalizers;
  const [replace] = rest;
  const made = isObject(replace?.pattern) && replace.pattern.String === ' ' && replace.content === SPACE;
  return rest.length === 1 && replace?.type === 'Replace' && made ? prepends : null;
}

/** Ids of bos, eos and further ends; whether the tokenizer puts the first two around a text. */
function around(json: JsonObject, bos: number | null, eos: readonly number[]): Metadata {
  const template = steps(json.post_processor, 'processors').find(({ type }) => type === 'TemplateProcessing');
  const single = Array.isArray(template?.single) ? template.single : [];
  const idOf = (item: JsonValue | undefined): number | null => {
    const special = isObject(item) ? item.SpecialToken : null;
    const table = template?.special_tokens;
    const entry = isObject(special) && isObject(table) ? table[String(special.id)] : null;
    const id = isObject(entry) && Array.isArray(entry.ids) ? entry.ids[0] : null;
    return typeof id === 'number' ? id : null;
  };
  const [first, last] = [idOf(single[0]), single.length > 1 ? idOf(single.at(-1)) : null];
  return {
    ...idsOf(first ?? bos, last === null ? eos : [last, ...eos]),
    'tokenizer.ggml.add_bos_token': { bool: first !== null },
    'tokenizer.ggml.add_eos_token': { bool: last !== null },
  };
}

/** GGUF names three ids that end a generation. */
function idsOf(bos: number | null, ends: readonly number[]): Metadata {
  const [eos, eot, eom] = new Set(ends);
  return Object.fromEntries(
    Object.entries({ bos, eos, eot, eom }).flatMap(([key, id]): [string, GgufValue][] =>
      typeof id === 'number' ? [[`tokenizer.ggml.${key}_token_id`, { u32: id }]] : [],
    ),
  );
}

/** The chat templates of a tokenizer_config.json as GGUF has them. */
export function ggufTemplates(config: JsonObject | null): Metadata {
  const { chat_template: found = [] } = config ?? {};
  const list = Array.isArray(found) ? found : [{ name: 'default', template: found }];
  const templates = list.flatMap((entry): [string, GgufValue][] => {
    const { name, template }: JsonObject = isObject(entry) ? entry : {};
    if (typeof name !== 'string' || typeof template !== 'string') return [];
    const key = name === 'default' ? '' : `.${name}`;
    return [[`tokenizer.chat_template${key}`, { string: template }]];
  });
  return Object.fromEntries(templates);
}
