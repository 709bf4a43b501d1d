import { EdgeError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { ggufEnds } from './gguf_tokenizer.ts';
import { partOfStored } from './stored.ts';
import type { StoredTensor } from './types.ts';

/** A GGUF file's facts about its model. */
export class Facts {
  constructor(
    private readonly file: string,
    private readonly architecture: string,
    private readonly metadata: JsonObject,
    readonly tensors: ReadonlyMap<string, StoredTensor>, // by the names of transformers
  ) {}

  value(key: string): JsonValue | undefined {
    return this.metadata[`${this.architecture}.${key}`];
  }

  /** A positive number; a value by layers is one if it is the same in all that have any. */
  number(key: string, fallback?: number): number {
    const found = this.value(key) ?? fallback;
    const values = Array.isArray(found) ? [...new Set(found)].filter((value) => value !== 0) : [found];
    const [value] = values;
    if (values.length !== 1 || typeof value !== 'number' || !(value > 0 && value < 2 ** 53))
      throw this.invalid(key, 'to be a positive number', found);
    return value;
  }

  /** A number of llama.cpp's that is none where it is absent or 0. */
  scale(key: string, otherwise: number): number {
    return this.value(key) ? this.number(key) : otherwise;
  }

  /** A number for each layer. */
  layers(key: string, count: number): number[] {
    const found = this.value(key);
    const values = Array.isArray(found) ? found : Array.from({ length: count }, () => found);
    if (values.length !== count || !values.every((value) => typeof value === 'number'))
      throw this.invalid(key, `to be a number, or a list of ${count}`, found);
    return values as number[];
  }

  tensor(name: string, ggufName: string): StoredTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new EdgeError('INVALID_FILE', `${this.file} has no tensor '${ggufName}'`);
    return tensor;
  }

  /** Rows of q, k and v in one tensor. */
  splitQkv(tensor: StoredTensor): Record<'attn_q' | 'attn_k' | 'attn_v', StoredTensor> {
    const heads = this.number('attention.head_count');
    const kvHeads = this.number('attention.head_count_kv', heads);
    const rows = tensor.shape[0] ?? 0;
    const [q, kv] = [heads, kvHeads].map((n) => (rows * n) / (heads + 2 * kvHeads)) as [number, number];
    if (!Number.isInteger(q) || !Number.isInteger(kv))
      throw new EdgeError(
        'INVALID_FILE',
        `${this.file}: expected rows for ${heads} heads of q and ${kvHeads} of k and v, found '${tensor.name}' [${tensor.shape}]`,
      );
    return {
      attn_q: partOfStored(tensor, 0, q),
      attn_k: partOfStored(tensor, q, kv),
      attn_v: partOfStored(tensor, q + kv, kv),
    };
  }

  /** Heads and widths of Mamba-2. */
  mamba2() {
    const hidden = this.number('embedding_length');
    const inner = this.number('ssm.inner_size');
    const heads = this.number('ssm.time_step_rank');
    if (inner % heads !== 0)
      throw new EdgeError(
        'INVALID_FILE',
        `${this.file}: expected ${this.architecture}.ssm.inner_size ${inner} to be a multiple of the ${heads} heads in time_step_rank`,
      );
    const exact = inner / hidden;
    return {
      hidden,
      inner,
      heads,
      kernel: this.number('ssm.conv_kernel'),
      state: this.number('ssm.state_size'),
      groups: this.number('ssm.group_count', 1),
      // Readers take floor(expand · hidden_size).
      expand: Math.floor(exact * hidden) === inner ? exact : (inner + 0.5) / hidden,
    };
  }

  /** Fields that configs of all architectures have. */
  common(embedding: string): JsonObject {
    const { bos, ends } = ggufEnds(this.metadata);
    return {
      hidden_size: this.number('embedding_length'),
      num_hidden_layers: this.number('block_count'),
      vocab_size: this.tensor(embedding, 'token_embd.weight').shape[0] ?? 0,
      tie_word_embeddings: !this.tensors.has('lm_head.weight'),
      bos_token_id: bos,
      eos_token_id: ends.length > 0 ? ends : null,
    };
  }

  private invalid(key: string, expected: string, found: JsonValue | undefined): EdgeError {
    const shown = found === undefined ? 'none' : JSON.stringify(found).slice(0, 80);
    return new EdgeError(
      'INVALID_FILE',
      `${this.file}: expected ${this.architecture}.${key} ${expected}, found ${shown}`,
    );
  }
}
