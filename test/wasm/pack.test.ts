import { describe, expect, test } from 'vitest';
import type { Layout } from '../../src/backends/wasm/layout.ts';
import { addressOf } from '../../src/backends/wasm/memory.ts';
import { instantiate, type Kernels } from '../../src/backends/wasm/module.ts';
import { packedWeight, packRows } from '../../src/backends/wasm/pack_js.ts';
import { Packer } from '../../src/backends/wasm/pack_wasm.ts';
import { ThreadPool } from '../../src/backends/wasm/thread_pool.ts';
import { moduleName } from '../../src/backends/wasm/variants.ts';
import { wasmModule } from '../../src/runtime/node.ts';
import type { GroupSize, QuantTensor } from '../../src/types.ts';
import { repack } from '../../src/weights/gguf.ts';
import { spawnThread } from './host.ts';

const WEIGHT = 2 ** 20; // address of the packed weight
const SPACE = 2 ** 20; // bytes of it
const LOGITS = 2 ** 21;
const POOL = 2 ** 18; // address of the pool_block
const STACKS = [POOL + 2 ** 17, POOL + 2 ** 18]; // upper ends

async function memoryWith(simd: 'scalar' | 'simd', logitsBytes: number) {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64 });
  const kernels = await instantiate(
    await WebAssembly.compile(await wasmModule(moduleName(simd, false))),
    memory,
  );
  const layout = { pool: POOL, logits: LOGITS, maxOutputs: 1, logitsStride: logitsBytes / 4 } as Layout;
  return { buffer: memory.buffer, packer: new Packer(memory.buffer, layout, kernels) };
}

let seed = 1;
const random = (): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed >>> 8;
};
const bytes = (n: number) => Uint8Array.from({ length: n }, random);
/** f16 bits of finite numbers. */
const halves = (n: number) => Uint16Array.from({ length: n }, () => random() & 0xbbff);

function canonical(rows: number, cols: number, format: QuantTensor['format']): QuantTensor {
  const count = rows * Math.ceil(cols / format.group);
  const numbers = () =>
    format.scaleDtype === 'f16' ? halves(count) : Float32Array.from({ length: count }, random);
  return {
    format,
    rows,
    cols,
    q: bytes(rows * Math.ceil((cols * format.bits) / 8)),
    scale: numbers(),
    bias: format.hasBias ? numbers() : null,
  };
}

/** As JavaScript packs it, and as the module does. */
async function both(simd: 'scalar' | 'simd', tensor: QuantTensor, space = 2 ** 18) {
  const { buffer, packer } = await memoryWith(simd, space);
  const packed = packedWeight([tensor.rows, tensor.cols], tensor.format, 'i8');
  expect(packed.bytes).toBeLessThan(SPACE);
  const image = () => new Uint8Array(buffer, WEIGHT, SPACE).slice();
  const plain = packRows(buffer, WEIGHT, packed, 0, tensor);
  const expected = image();
  new Uint8Array(buffer, WEIGHT, SPACE).fill(0);
  const used = packer.pack(WEIGHT + 64, packed, tensor) !== null;
  new Uint8Array(buffer, WEIGHT, SPACE).fill(0);
  const quick = packRows(buffer, WEIGHT, packed, 0, tensor, packer);
  return { used, plain, quick, expected, found: image() };
}

const ROWS = [1, 8, 13, 64];

test("ggml's blocks are packed as they are: no arrays are made of them", async () => {
  const { packer } = await memoryWith('simd', 2 ** 18);
  const format = { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: false } as const;
  const { q, scale } = canonical(8, 64, format);
  let made = 0;
  const counted = <T>(value: T) => {
    made++;
    return value;
  };
  const tensor: QuantTensor = {
    format,
    rows: 8,
    cols: 64,
    get q() {
      return counted(q);
    },
    get scale() {
      return counted(scale);
    },
    get bias() {
      return counted(null);
    },
    blocks: new Uint8Array((8 * 64 * 18) / 32),
  };
  const packed = packedWeight([8, 64], format, 'i8');
  expect(packer.pack(WEIGHT, packed, tensor)).toBe(false);
  expect(made).toBe(0);
});

describe.each(['scalar', 'simd'] as const)('packing in the %s module', (simd) => {
  const formats = ([16, 32, 64, 128] as GroupSize[]).flatMap((group) =>
    ([4, 8] as const).flatMap((bits) =>
      (['f16', 'f32'] as const).flatMap((scaleDtype) =>
        [false, true].map((hasBias) => ({ kind: 'quant' as const, bits, group, scaleDtype, hasBias })),
      ),
    ),
  );
  test.each(formats)(
    'canonical rows, $bits bits, groups of $group, $scaleDtype, offsets $hasBias',
    async (format) => {
      for (const rows of ROWS) {
        const result = await both(simd, canonical(rows, 384, format));
        expect(result.used).toBe(true);
        expect(Buffer.compare(result.found, result.expected)).toBe(0);
        expect([result.plain, result.quick]).toEqual([false, false]);
      }
    },
  );

  const blocked = [
    { bits: 4, hasBias: false },
    { bits: 4, hasBias: true },
    { bits: 8, hasBias: false },
  ] as const;
  test.each(blocked)("ggml's blocks of $bits bits, offsets $hasBias", async ({ bits, hasBias }) => {
    const format = { kind: 'quant', bits, group: 32, scaleDtype: 'f16', hasBias } as const;
    for (const rows of ROWS) {
      const cols = 320;
      const block = (hasBias ? 4 : 2) + 4 * bits;
      const blocks = bytes((rows * cols * block) / 32);
      for (let at = 0; at < blocks.length; at += block)
        for (const i of hasBias ? [1, 3] : [1]) blocks[at + i]! &= 0xbb;
      const tensor = { ...repack(blocks, rows, cols, format), blocks };
      const result = await both(simd, tensor);
      expect(result.used).toBe(true);
      expect(Buffer.compare(result.found, result.expected)).toBe(0);
      expect([result.plain, result.quick]).toEqual([false, false]);
    }
  });

  test('rows in a place of the module are packed there; a place is lent once, and free again once they are packed', async () => {
    const format = { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: true } as const;
    const { buffer, packer } = await memoryWith(simd, 2 ** 20);
    const image = () => new Uint8Array(buffer, WEIGHT, SPACE).slice();
    for (const bad of [false, true]) {
      const tensor = canonical(61, 384, format);
      if (bad) tensor.bias!.set([0x7c00], tensor.bias!.length - 1);
      const packed = packedWeight([61, 384], format, 'i8');
      const lent = [packer.takePlace(30_000)!, packer.takePlace(30_000)!];
      expect(packer.takePlace(1)).toBe(null);
      expect(
        lent[0]!.bytes.buffer === buffer && lent[0]!.bytes.byteOffset !== lent[1]!.bytes.byteOffset,
      ).toBe(true);
      for (const place of lent) {
        let at = place.bytes.byteOffset;
        const placed = <T extends Uint8Array | Uint16Array>(part: T): T => {
          const copy = new (part.constructor as new (...of: unknown[]) => T)(buffer, at, part.length);
          copy.set(part);
          at += Math.ceil(part.byteLength / 16) * 16;
          return copy;
        };
        const there = {
          ...tensor,
          q: placed(tensor.q),
          scale: placed(tensor.scale as Uint16Array),
          bias: placed(tensor.bias as Uint16Array),
        };
        new Uint8Array(buffer, WEIGHT, SPACE).fill(0);
        packRows(buffer, WEIGHT, packed, 0, tensor);
        const expected = image();
        new Uint8Array(buffer, WEIGHT, SPACE).fill(0);
        expect(packRows(buffer, WEIGHT, packed, 0, there, place)).toBe(bad);
        expect(Buffer.compare(image(), expected)).toBe(0);
      }
    }
    expect(packer.takePlace(2 ** 20)).toBe(null);
  });

  test('numbers that are not finite are noticed, wherever they are', async () => {
    for (const scaleDtype of ['f16', 'f32'] as const)
      for (const which of ['scale', 'bias'] as const) {
        const tensor = canonical(13, 128, { kind: 'quant', bits: 4, group: 32, scaleDtype, hasBias: true });
        tensor[which]!.set([scaleDtype === 'f16' ? 0x7c00 : Number.NaN], tensor[which]!.length - 1);
        const { plain, quick, found, expected } = await both(simd, tensor);
        expect([plain, quick]).toEqual([true, true]);
        expect(Buffer.compare(found, expected)).toBe(0);
      }
  });

  test('a short last group, and a memory with little room, are left to JavaScript', async () => {
    const format = { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: false } as const;
    const short = await both(simd, canonical(9, 40, format));
    expect(short.used).toBe(false);
    expect(Buffer.compare(short.found, short.expected)).toBe(0);
    expect((await both(simd, canonical(9, 64, format), 4096)).used).toBe(false);
  });
});

describe.each(['scalar', 'simd'] as const)('packing by the pool of the %s module', (simd) => {
  test.each([1, 2, 3])('%i threads write what JavaScript writes', async (threads) => {
    const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
    const module = await WebAssembly.compile(await wasmModule(moduleName(simd, true)));
    const kernels = await instantiate(module, memory);
    const pool = new ThreadPool(
      spawnThread,
      { module, memory, pool: addressOf(POOL) },
      STACKS.slice(0, threads - 1),
    );
    await pool.started;
    try {
      expect(pool.size).toBe(threads);
      const layout = { pool: POOL, logits: LOGITS, maxOutputs: 1, logitsStride: 2 ** 18 / 4 } as Layout;
      const packer = new Packer(memory.buffer, layout, kernels, pool);
      const image = () => new Uint8Array(memory.buffer, WEIGHT, SPACE).slice();
      for (const bits of [4, 8] as const)
        for (const [rows, damagedAt] of [[421], [64], [700], [700, 3], [700, 690]] as const) {
          const tensor = canonical(rows, 384, {
            kind: 'quant',
            bits,
            group: 32,
            scaleDtype: 'f16',
            hasBias: true,
          });
          if (damagedAt !== undefined) tensor.scale[damagedAt * 12] = 0x7c00;
          const packed = packedWeight([rows, 384], tensor.format, 'i8');
          new Uint8Array(memory.buffer, WEIGHT, SPACE).fill(0);
          expect(packRows(memory.buffer, WEIGHT, packed, 0, tensor)).toBe(damagedAt !== undefined);
          const expected = image();
          new Uint8Array(memory.buffer, WEIGHT, SPACE).fill(0);
          expect(packRows(memory.buffer, WEIGHT, packed, 0, tensor, packer)).toBe(damagedAt !== undefined);
          expect(Buffer.compare(image(), expected)).toBe(0);
        }
    } finally {
      kernels.pool_stop?.(addressOf(POOL));
      await pool.terminate();
    }
  });
});

test('a thread lost while packing ends the load', () => {
  const layout = { pool: POOL, logits: 0, maxOutputs: 1, logitsStride: 2 ** 18 / 4 } as Layout;
  const kernels = { pack: () => 2 } as unknown as Kernels;
  const packer = new Packer(new ArrayBuffer(2 ** 20), layout, kernels, { size: 2 });
  const tensor = canonical(8, 64, { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: false });
  expect(() => packer.pack(0, packedWeight([8, 64], tensor.format, 'i8'), tensor)).toThrow(
    expect.objectContaining({ code: 'WORKER_DIED' }),
  );
});
