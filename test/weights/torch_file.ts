/** Builds ZIP archives, pickles and files of `torch.save`, honest or not. */
import { deflateRawSync } from 'node:zlib';
import { crc32 } from '../../src/weights/zip.ts';

const utf8 = new TextEncoder();
const u8 = (x: number) => [x & 255];
const u16 = (x: number) => [x & 255, (x >>> 8) & 255];
const u32 = (x: number) => [...u16(x & 0xffff), ...u16(x >>> 16)];
const u64 = (x: number) => [...u32(x % 2 ** 32), ...u32(Math.floor(x / 2 ** 32))];

export interface ZipFile {
  name: string;
  data: Uint8Array;
  deflate?: boolean;
  /** Lies of the directory. */
  size?: number;
  packed?: number;
  header?: number;
  method?: number;
  flags?: number;
  crc?: number;
}

/** An archive; `zip64` writes sizes and offsets the long way; `align` pads entries as PyTorch does. */
export function zip(
  files: readonly ZipFile[],
  { zip64 = false, align = 64, disk = 0, count = files.length } = {},
) {
  const parts: Uint8Array[] = [];
  const central: number[] = [];
  let at = 0;
  const push = (bytes: ArrayLike<number>) => {
    parts.push(Uint8Array.from(bytes));
    at += bytes.length;
  };
  for (const file of files) {
    const name = utf8.encode(file.name);
    const packed = file.deflate ? new Uint8Array(deflateRawSync(file.data)) : file.data;
    const method = file.method ?? (file.deflate ? 8 : 0);
    const crc = file.crc ?? crc32(file.data);
    const [size, length, header] = [
      file.size ?? file.data.length,
      file.packed ?? packed.length,
      file.header ?? at,
    ];
    const padding = (align - ((at + 30 + name.length + 4) % align)) % align;
    const common = [...u16(file.flags ?? 0), ...u16(method), ...u32(0), ...u32(crc)];
    push([0x50, 0x4b, 3, 4, ...u16(20), ...common, ...u32(length), ...u32(size), ...u16(name.length)]);
    push([...u16(padding + 4), ...name, 0x46, 0x42, ...u16(padding), ...new Uint8Array(padding).fill(90)]);
    parts.push(packed);
    at += packed.length;
    const extra = zip64 ? [1, 0, ...u16(24), ...u64(size), ...u64(length), ...u64(header)] : [];
    const sizes = zip64 ? [...u32(0xffffffff), ...u32(0xffffffff)] : [...u32(length), ...u32(size)];
    central.push(0x50, 0x4b, 1, 2, ...u16(20), ...u16(20), ...common, ...sizes, ...u16(name.length));
    central.push(...u16(extra.length), ...u16(0), ...u16(0), ...u16(0), ...u32(0));
    central.push(...u32(zip64 ? 0xffffffff : header), ...name, ...extra);
  }
  const directory = at;
  push(central);
  if (zip64) {
    const end = at;
    push([0x50, 0x4b, 6, 6, ...u64(44), ...u16(45), ...u16(45), ...u32(disk), ...u32(disk)]);
    push([...u64(count), ...u64(count), ...u64(central.length), ...u64(directory)]);
    push([0x50, 0x4b, 6, 7, ...u32(0), ...u64(end), ...u32(1)]);
    push([0x50, 0x4b, 5, 6, ...u16(0), ...u16(0), ...u16(0xffff), ...u16(0xffff)]);
    push([...u32(0xffffffff), ...u32(0xffffffff), ...u16(0)]);
  } else {
    push([0x50, 0x4b, 5, 6, ...u16(disk), ...u16(disk), ...u16(count), ...u16(count)]);
    push([...u32(central.length), ...u32(directory), ...u16(0)]);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** Pieces of a pickle, protocol 2, as Python writes them. */
export const pickle = {
  of: (...body: number[][]): Uint8Array => Uint8Array.from([0x80, 2, ...body.flat(), 0x2e]),
  text: (text: string): number[] => [0x58, ...u32(utf8.encode(text).length), ...utf8.encode(text)],
  int: (x: number): number[] => [0x4a, ...u32(x)],
  long: (x: number): number[] => [0x8a, ...u8(8), ...u64(x)],
  global: (module: string, name: string): number[] => [0x63, ...utf8.encode(`${module}\n${name}\n`)],
  tuple: (...items: number[][]): number[] => [0x28, ...items.flat(), 0x74],
  call: (callee: number[], args: number[]): number[] => [...callee, ...args, 0x52],
  dict: (items: readonly (readonly [string, number[]])[]): number[] => [
    0x7d,
    0x28,
    ...items.flatMap(([key, value]) => [...pickle.text(key), ...value]),
    0x75,
  ],
  ordered: (items: readonly (readonly [string, number[]])[]): number[] => [
    ...pickle.call(pickle.global('collections', 'OrderedDict'), [0x29]),
    0x28,
    ...items.flatMap(([key, value]) => [...pickle.text(key), ...value]),
    0x75,
    ...pickle.dict([['_metadata', pickle.ordered_empty]]),
    0x62, // BUILD: attributes of the dict
  ],
  ordered_empty: [0x63, ...utf8.encode('collections\nOrderedDict\n'), 0x29, 0x52],
};

const CLASSES: Readonly<Record<string, [name: string, bytes: number]>> = {
  F32: ['FloatStorage', 4],
  F16: ['HalfStorage', 2],
  BF16: ['BFloat16Storage', 2],
  I64: ['LongStorage', 8],
};

export interface TorchItem {
  name: string;
  dtype: string;
  shape: readonly number[];
  key: string; // of the storage
  count: number; // elements of the storage
  offset?: number; // elements
  stride?: readonly number[];
  parameter?: boolean;
}

/** The pickle of one tensor. */
export function pickledTensor({
  dtype,
  shape,
  key,
  count,
  offset = 0,
  stride,
  parameter,
}: TorchItem): number[] {
  const { text, int, long, tuple, global, call } = pickle;
  const integer = (x: number) => (x < 2 ** 31 ? int(x) : long(x));
  const steps = stride ?? shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const type = global('torch', CLASSES[dtype]?.[0] ?? dtype);
  const id = [...tuple(text('storage'), type, text(key), text('cpu'), integer(count)), 0x51];
  const sizes = [shape, steps].map((list) => tuple(...list.map(integer)));
  const args = tuple(id, integer(offset), sizes[0]!, sizes[1]!, [0x89], pickle.ordered_empty);
  const tensor = call(global('torch._utils', '_rebuild_tensor_v2'), args);
  if (!parameter) return tensor;
  return call(global('torch._utils', '_rebuild_parameter'), tuple(tensor, [0x88], pickle.ordered_empty));
}

/** A file as `torch.save` of a state dict writes it, tensors with storages of their own. */
export function torchFile(
  tensors: Readonly<Record<string, { dtype: string; shape: readonly number[]; data: Uint8Array }>>,
  { deflate = false, zip64 = false, edit = (pkl: Uint8Array) => pkl } = {},
): Uint8Array {
  const items = Object.entries(tensors).map(([name, { dtype, shape, data }], i) => {
    const count = data.length / CLASSES[dtype]![1];
    return [name, pickledTensor({ name, dtype, shape, key: `${i}`, count, parameter: i % 3 === 0 })] as const;
  });
  const files: ZipFile[] = [
    { name: 'archive/data.pkl', data: edit(pickle.of(pickle.ordered(items))), deflate },
    { name: 'archive/byteorder', data: utf8.encode('little'), deflate },
    ...Object.values(tensors).map(({ data }, i) => ({ name: `archive/data/${i}`, data, deflate })),
    { name: 'archive/version', data: utf8.encode('3\n'), deflate },
  ];
  return zip(files, { zip64 });
}
