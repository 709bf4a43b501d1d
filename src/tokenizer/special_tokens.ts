import type { JsonObject, JsonValue } from '../types.ts';
import { isObject } from './check.ts';

/**
 * Tokenizers of transformers that put bos before a text if `add_bos_token` of tokenizer_config.json says so, whatever the
 * post-processor is, and what they do where it says nothing.
 */
const BY_CONFIG: Readonly<Record<string, boolean>> = {
  LlamaTokenizer: true,
  CodeLlamaTokenizer: true,
  GemmaTokenizer: true,
  CohereTokenizer: true,
  GPTNeoXTokenizer: false,
};

/** The ids that begin a text of its own: bos, as a rule. Or what is wrong with the post-processor. */
export function firstIdsOrFault(
  json: JsonObject,
  config: JsonObject,
  idOf: (token: string) => number | undefined,
): readonly number[] | string {
  const name = String(config.tokenizer_class).replace(/Fast$/, '');
  const bos = isObject(config.bos_token) ? config.bos_token.content : config.bos_token;
  if (Object.hasOwn(BY_CONFIG, name)) {
    const wanted = typeof config.add_bos_token === 'boolean' ? config.add_bos_token : BY_CONFIG[name]!;
    const id = typeof bos === 'string' ? idOf(bos) : undefined;
    if (!wanted) return [];
    if (id !== undefined) return [id];
  }
  return before(json.post_processor);
}

/** The tokens that a post-processor puts before a text. */
function before(value: JsonValue | undefined): readonly number[] | string {
  if (!isObject(value)) return [];
  switch (value.type) {
    case 'Sequence': {
      let ids: readonly number[] = [];
      for (const step of Array.isArray(value.processors) ? value.processors : []) {
        const found = before(step);
        if (typeof found === 'string') return found;
        ids = [...found, ...ids];
      }
      return ids;
    }
    case 'TemplateProcessing':
      return template(value);
    case 'BertProcessing':
    case 'RobertaProcessing':
      return checked(Array.isArray(value.cls) ? [value.cls[1]!] : []);
    default:
      return [];
  }
}

function template({ single, special_tokens: special }: JsonObject): readonly number[] | string {
  const items = Array.isArray(single) ? single : [];
  const sequence = items.findIndex((item) => isObject(item) && 'Sequence' in item);
  const named = (sequence < 0 ? [] : items.slice(0, sequence)).map((item) =>
    isObject(item) && isObject(item.SpecialToken) ? String(item.SpecialToken.id) : '',
  );
  return checked(
    named.flatMap((name): JsonValue[] => {
      const found = isObject(special) ? special[name] : null;
      return isObject(found) && Array.isArray(found.ids) ? found.ids : [null];
    }),
  );
}

function checked(ids: readonly JsonValue[]): readonly number[] | string {
  const odd = ids.find((id) => typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0);
  return odd === undefined
    ? (ids as number[])
    : `has a post-processor of special tokens without ids: found ${JSON.stringify(odd)}`;
}
