import type { JsonObject } from '../types.ts';
import type { GgufValue } from './gguf_write.ts';
import { isObject, parseJsonObject } from './json.ts';

const [NORMAL, CONTROL, USER_DEFINED, UNUSED] = [1, 3, 4, 5] as const;
const EMPTY: Record<string, GgufValue> = { 'tokenizer.ggml.model': { string: 'no_vocab' } };

/**
 * A tokenizer.json as GGUF has it, if it is byte-level BPE with GPT-2's pattern; of any other kind, or where there is
 * none, the file says that it has no vocabulary.
 */
export function ggufTokenizerMetadata(
  tokenizer: string | null,
  vocabSize: number,
  bos: number | null,
  eos: readonly number[],
): Record<string, GgufValue> {
  if (tokenizer === null) return EMPTY;
  const json = parseJsonObject('tokenizer.json', new TextEncoder().encode(tokenizer));
  const { model, pre_tokenizer: pre, normalizer, added_tokens: added } = json;
  const plain =
    isObject(pre) && pre.type === 'ByteLevel' && pre.add_prefix_space !== true && pre.use_regex !== false;
  const nfc = isObject(normalizer) && normalizer.type === 'NFC';
  if (!isObject(model) || model.type !== 'BPE' || !plain || (normalizer && !nfc)) return EMPTY;
  const { vocab, merges } = model;
  if (!isObject(vocab) || !Array.isArray(merges)) return EMPTY;
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types: number[] = Array.from({ length: vocabSize }, () => UNUSED);
  const put = (id: unknown, token: unknown, type: number) => {
    if (typeof id !== 'number' || typeof token !== 'string' || !(id in tokens)) return;
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(vocab)) put(id, token, NORMAL);
  for (const entry of Array.isArray(added) ? added : [])
    if (isObject(entry)) put(entry.id, entry.content, entry.special === true ? CONTROL : USER_DEFINED);
  const pairs = merges.map((merge) => (Array.isArray(merge) ? merge.join(' ') : String(merge)));
  return {
    'tokenizer.ggml.model': { string: 'gpt2' },
    'tokenizer.ggml.pre': { string: nfc ? 'mpt' : 'gpt-2' },
    'tokenizer.ggml.tokens': { strings: tokens },
    'tokenizer.ggml.token_type': { i32s: types },
    'tokenizer.ggml.merges': { strings: pairs },
    ...(bos !== null && { 'tokenizer.ggml.bos_token_id': { u32: bos } }),
    ...(eos[0] !== undefined && { 'tokenizer.ggml.eos_token_id': { u32: eos[0] } }),
    ...(eos[1] !== undefined && { 'tokenizer.ggml.eot_token_id': { u32: eos[1] } }),
    'tokenizer.ggml.add_bos_token': { bool: false },
  };
}

/** The chat templates of a tokenizer_config.json as GGUF has them. */
export function ggufTemplates(config: JsonObject | null): Record<string, GgufValue> {
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
