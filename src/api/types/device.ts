/** What runs a model: a GPU through Metal or WebGPU, or the CPU through WebAssembly. */
export type BackendName = 'metal' | 'webgpu' | 'wasm';

/** Activations of quantized linears: `'exact'` f32, or integers with a scale by group. Fixed at load. */
export type Numerics = 'exact' | 'i16' | 'i8';

/** What float weights become while they are loaded: codes of 4 or 8 bits, or what they are. */
export type Quantize = 'q4' | 'q8' | 'none';

/** Columns of a quantized weight that share a scale. */
export type GroupSize = 16 | 32 | 64 | 128;

/** How a weight is stored once loaded, the same on every backend: as floats, or as codes. */
export type WeightFormat =
  | {
      /** Floats. */
      kind: 'float';
      /** Type of a value. */
      dtype: 'f32' | 'f16';
    }
  | {
      /** Unsigned codes. */
      kind: 'quant';
      /** Bits of a code. */
      bits: 4 | 8;
      /** Columns that share a scale. */
      group: GroupSize;
      /** Type of scales, and of biases. */
      scaleDtype: 'f16' | 'f32';
      /** Whether groups have a bias; without, codes are symmetric about 0. */
      hasBias: boolean;
    };
