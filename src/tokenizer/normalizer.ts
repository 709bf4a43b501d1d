import { type Normalizer as Library, SequenceNormalizer } from '@huggingface/tokenizers';
import type { JsonObject, JsonValue } from '../types.ts';
import type { Start } from './pre_tokenizer.ts';

export interface Normalizer {
  normalize(text: string, start: Start): string;
  /** Is a text that is cut before a space between two words otherwise normalized as it would be? */
  readonly local: boolean;
}

const LOCAL = new Set(['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents']);

/** A normalizer of a tokenizer.json. What it puts before a text is not put before the middle of one. */
export function createNormalizer(json: JsonValue | undefined, library: Library | null): Normalizer {
  if (!json || !library) return { normalize: (text) => text, local: true };
  const config = json as JsonObject;
  if (library instanceof SequenceNormalizer) {
    const steps = ((config.normalizers ?? []) as JsonValue[]).map((step, i) =>
      createNormalizer(step, library.normalizers[i] ?? null),
    );
    return {
      normalize: (text, start) => steps.reduce((result, step) => step.normalize(result, start), text),
      local: steps.every(({ local }) => local),
    };
  }
  if (config.type === 'Prepend') {
    const prefix = String(config.prepend);
    return {
      normalize: (text, start) => (start === 'middle' || text === '' ? text : prefix + text),
      local: true,
    };
  }
  const { String: replaced } = (config.pattern ?? {}) as JsonObject;
  const space = config.type === 'Replace' && replaced === ' ' && typeof config.content === 'string';
  if (space)
    return { normalize: (text) => text.replaceAll(' ', () => config.content as string), local: true };
  return { normalize: (text) => library.normalize(text), local: LOCAL.has(String(config.type)) };
}
