import type { ByteSource } from '../io/types.ts';
import type { JsonObject } from '../types.ts';
import { murmur128 } from './hash.ts';
import { stringifyJson } from './json.ts';
import type { Checkpoint, StoredTensor } from './types.ts';

/** Files beside the weights. */
export interface Sidecars {
  config: JsonObject | null;
  tokenizer: string | null;
  tokenizerLack?: string | null;
  tokenizerConfig: JsonObject | null;
  generationConfig: JsonObject | null;
}

/** A checkpoint of tensors that were found and checked. Closes `sources` when it is closed. */
export function checkpoint(
  container: Checkpoint['container'],
  name: string,
  config: JsonObject,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: JsonObject,
  { tokenizer, tokenizerLack = null, tokenizerConfig, generationConfig }: Sidecars,
  sources: readonly ByteSource[],
): Checkpoint {
  let fingerprint: string | null = null;
  return {
    container,
    name,
    config,
    tensors,
    metadata,
    tokenizer,
    tokenizerLack: tokenizer === null ? tokenizerLack : null,
    tokenizerConfig,
    generationConfig,
    async fingerprint(signal) {
      fingerprint ??= await fingerprintOf(config, tensors, signal);
      return fingerprint;
    },
    async close() {
      await Promise.all(sources.map((source) => source.close()));
    },
  };
}

async function fingerprintOf(
  config: JsonObject,
  tensors: ReadonlyMap<string, StoredTensor>,
  signal: AbortSignal | undefined,
): Promise<string> {
  const lines = [stringifyJson(config)];
  for (const [name, tensor] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1)))
    lines.push(`${name} ${tensor.dtype} [${tensor.shape}] ${await tensor.digest(signal)}`);
  return murmur128(new TextEncoder().encode(lines.join('\n')));
}
