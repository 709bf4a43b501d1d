import type { JsonObject, Tensor, WeightFormat } from '../types.ts';

/** A tensor's entry in a checkpoint's file; enough to bind it without reading it. */
export interface TensorShape {
  dtype: string; // 'F32', 'F16', 'BF16', … or 'Q4_0' and the like; quantized tensors carry their logical shape
  shape: readonly number[];
}

export interface RowMultiplier {
  rows: number;
  by: number;
}

/** Where a program's weight comes from. Shapes may differ by dimensions of 1 (conv1d's [c, 1, k]). */
export interface WeightSource {
  tensor: string; // name in the checkpoint
  transform?: 'neg_exp'; // A = −exp(A_log)
  /** Multipliers of consecutive rows, `rows` in all. */
  multipliers?: readonly RowMultiplier[];
}

/** A tensor in its file, readable by rows: [rows, cols] is its shape without dimensions of 1. */
export interface StoredTensor extends TensorShape {
  readonly name: string; // in the file
  readonly file: string; // for messages
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number; // in the file, scales included
  /** The form in which rows arrive: f32 and f16 as they are, bf16 as f32; null for what cannot be read. */
  readonly format: WeightFormat | null;
  /** Bytes that `read` needs of `into` for so many rows. Absent where it takes none: rows come in memory of their own. */
  readonly placeBytes?: (rows: number) => number;
  /** Rows [row, row + rows), bit-exact; given `into`, all of them lie there. @throws UNSUPPORTED_MODEL if `format` is null */
  read(row: number, rows: number, signal?: AbortSignal, into?: Uint8Array): Promise<Tensor>;
  /** Hash of the stored bytes' first and last 4 KiB; free for what `read` has passed over. */
  digest(signal?: AbortSignal): Promise<string>;
}

/** The files of one model, opened and checked but not read: one interface for every container. */
export interface Checkpoint {
  readonly name: string;
  readonly container: 'safetensors' | 'gguf' | 'pytorch';
  readonly config: JsonObject;
  readonly tensors: ReadonlyMap<string, StoredTensor>; // quantized ones without their scales
  readonly tokenizer: string | null; // text of tokenizer.json
  readonly tokenizerLack: string | null; // why there is none, where there is more to say than that
  readonly tokenizerConfig: JsonObject | null; // tokenizer_config.json, with the text of chat_template.jinja
  readonly generationConfig: JsonObject | null; // generation_config.json
  readonly metadata: JsonObject; // of the container, as it is: safetensors' strings, GGUF's values
  /** 32 hexadecimal digits over config, tensor table and every tensor's first and last 4 KiB. Cheap after upload. */
  fingerprint(signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}
