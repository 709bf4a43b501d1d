import { SAMPLING_ROWS } from '../ops/sampling_options.ts';
import type { JsonObject } from '../types.ts';
import type { GgufValue } from './gguf_write.ts';

/** Fields of generation_config.json, and what llama.cpp calls them in the metadata. */
const KEYS = SAMPLING_ROWS.flatMap(([, { fields }]) =>
  fields ? [[fields[0], `general.sampling.${fields[1]}`] as const] : [],
);

/** The sampling that a GGUF file recommends, in the words of generation_config.json; null where it recommends none. */
export function ggufGenerationConfig(metadata: JsonObject): JsonObject | null {
  const config: JsonObject = {};
  for (const [field, key] of KEYS) {
    const value = metadata[key];
    if (typeof value === 'number') config[field] = shortest(value);
  }
  if (Object.keys(config).length === 0) return null;
  if (config.temperature !== undefined) {
    config.do_sample = Number(config.temperature) > 0;
    config.top_k ??= null; // the file's none, not transformers' 50
  }
  return config;
}

/** The reverse. */
export function ggufSampling(config: JsonObject | null): Record<string, GgufValue> {
  const greedy = config?.do_sample !== true;
  const entries = KEYS.flatMap(([field, key]): [string, GgufValue][] => {
    const value = field === 'temperature' && greedy ? 0 : config?.[field];
    if (typeof value !== 'number') return [];
    return [[key, field === 'top_k' ? { i32: Math.max(0, value) } : { f32: value }]];
  });
  return config === null ? {} : Object.fromEntries(entries);
}

/** The decimal that was meant by a number of 32 bits. */
function shortest(value: number): number {
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === value ? short : value;
}
