import { vocabularyIds } from '../../../models/config.ts';
import { EdgeError, show } from '../../errors.ts';
import { SAMPLING_ROWS } from '../../ops/sampling_options.ts';
import type { JsonObject, JsonValue } from '../../types.ts';
import type { Checkpoint } from '../../weights/types.ts';
import type { GenerationDefaults } from '../types.ts';
import { readOptions } from './options.ts';

/** A model's generation_config.json; ids are null where it leaves them to config.json. */
export interface GenerationConfig {
  defaults: GenerationDefaults;
  bosTokenId: number | null;
  eosTokenIds: readonly number[] | null;
}

/** transformers' where a file that samples has none. */
const TEMPERATURE = 1;
const TOP_K = 50;

/**
 * Reads generation_config.json as transformers does: only `do_sample: true` samples; fields that no option stands for
 * are ignored. @throws INVALID_FILE, naming the field
 */
export function readGenerationConfig(
  { name, generationConfig: json }: Pick<Checkpoint, 'name' | 'generationConfig'>,
  vocabSize: number,
): GenerationConfig {
  if (json === null) return { defaults: {}, bosTokenId: null, eosTokenIds: null };
  const file = `${name}: generation_config.json`;
  const ids = (field: string): number[] | null => {
    const value = json[field] ?? null;
    const found = value === null ? null : vocabularyIds(value, vocabSize);
    if (found === 'invalid') throw invalid(file, field, 'a token id or a list of them', value);
    return found;
  };
  const bos = ids('bos_token_id');
  return {
    defaults: readDefaults(file, json, vocabSize),
    bosTokenId: bos?.[0] ?? null,
    eosTokenIds: ids('eos_token_id'),
  };
}

function readDefaults(file: string, json: JsonObject, vocabSize: number): GenerationDefaults {
  const { do_sample = null } = json;
  if (do_sample !== null && typeof do_sample !== 'boolean')
    throw invalid(file, 'do_sample', 'true or false', do_sample);
  const defaults: GenerationDefaults = {};
  for (const [option, { fields }] of SAMPLING_ROWS) {
    if (!fields) continue;
    const [field] = fields;
    const value = off(field, json[field] ?? null);
    if (value === null) continue;
    try {
      readOptions({ [option]: value }, vocabSize);
    } catch (cause) {
      const fault = (cause as Error).message;
      throw new EdgeError('INVALID_FILE', `${file}: ${fault.replace(option, field)}`, { cause });
    }
    defaults[option as keyof GenerationDefaults] = value as number;
  }
  // Of a greedy file the rest stays: it takes effect where a caller gives a temperature.
  if (do_sample !== true || json.top_p === 0) delete defaults.temperature;
  else {
    defaults.temperature ??= TEMPERATURE;
    if (json.top_k === undefined) defaults.topK = TOP_K;
  }
  return defaults;
}

/** Null for values that other readers take for none: a top_k of −1, a top_p of 0, which leaves one token. */
function off(field: string, value: JsonValue): JsonValue {
  if (field === 'top_k' && value === -1) return null;
  return field === 'top_p' && value === 0 ? null : value;
}

function invalid(file: string, field: string, wanted: string, found: JsonValue): EdgeError {
  return new EdgeError('INVALID_FILE', `${file}: ${field} must be ${wanted}, found ${show(found)}`);
}
