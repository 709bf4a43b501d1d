import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import { Dict, Global, type Globals, PICKLE_LIMITS, type Pickled, readPickle, Tuple } from './pickle.ts';
import { elementCount } from './shape.ts';
import { floatStored, StoredBytes } from './stored.ts';
import type { StoredTensor } from './types.ts';
import { isZip, readZip, type ZipEntry, ZipSource } from './zip.ts';

/** Limits of a PyTorch checkpoint; beyond them, INVALID_FILE. See also ZIP_LIMITS and PICKLE_LIMITS. */
export const TORCH_LIMITS = { tensors: 65_536, nameLength: 512 } as const;

/** Storage classes of torch: dtype and bytes of an element. */
const STORAGES: Readonly<Record<string, { dtype: string; bytes: number }>> = {
  'torch.FloatStorage': { dtype: 'F32', bytes: 4 },
  'torch.HalfStorage': { dtype: 'F16', bytes: 2 },
  'torch.BFloat16Storage': { dtype: 'BF16', bytes: 2 },
  'torch.DoubleStorage': { dtype: 'F64', bytes: 8 },
  'torch.LongStorage': { dtype: 'I64', bytes: 8 },
  'torch.IntStorage': { dtype: 'I32', bytes: 4 },
  'torch.ShortStorage': { dtype: 'I16', bytes: 2 },
  'torch.CharStorage': { dtype: 'I8', bytes: 1 },
  'torch.ByteStorage': { dtype: 'U8', bytes: 1 },
  'torch.BoolStorage': { dtype: 'BOOL', bytes: 1 },
};

const CALLS = [
  'collections.OrderedDict',
  'torch._utils._rebuild_tensor',
  'torch._utils._rebuild_tensor_v2',
  'torch._utils._rebuild_parameter',
];

class Storage {
  constructor(
    readonly key: string,
    readonly dtype: string,
    readonly bytes: number, // of an element
    readonly count: number,
  ) {}
}

class TorchTensor {
  constructor(
    readonly storage: Storage,
    readonly offset: number, // elements
    readonly shape: readonly number[],
    readonly stride: readonly number[],
  ) {}
}

/** All that a checkpoint of tensors asks for. Nothing here runs code of the file: a call makes a plain record. */
const globals: Globals = {
  known: (name) => CALLS.includes(name) || Object.hasOwn(STORAGES, name),
  call(name, args): Pickled | undefined {
    if (name === 'collections.OrderedDict') return args.length === 0 ? new Dict() : undefined;
    const [first, ...rest] = args;
    if (name === 'torch._utils._rebuild_parameter') return first instanceof TorchTensor ? first : undefined;
    return first instanceof Storage ? tensorOf(first, rest) : undefined;
  },
  persistent(id): Pickled | undefined {
    if (!(id instanceof Tuple)) return undefined;
    const [kind, type, key, , count] = id.items;
    if (kind !== 'storage' || !(type instanceof Global) || typeof key !== 'string' || !isSize(count))
      return undefined;
    if (!Object.hasOwn(STORAGES, type.name)) return undefined;
    const { dtype, bytes } = STORAGES[type.name]!;
    return new Storage(key, dtype, bytes, count);
  },
};

function tensorOf(storage: Storage, [offset, shape, stride]: readonly Pickled[]): TorchTensor | undefined {
  const [dims, steps] = [shape, stride].map((value) =>
    value instanceof Tuple && value.items.length <= PICKLE_LIMITS.dims && value.items.every(isSize)
      ? (value.items as number[])
      : null,
  );
  if (!isSize(offset) || !dims || !steps || dims.length !== steps.length) return undefined;
  return new TorchTensor(storage, offset, dims, steps);
}

function isSize(value: Pickled | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Is this a file of `torch.save`? */
export const isTorch = isZip;

/**
 * The tensors of a file that `torch.save` wrote (since PyTorch 1.6: a ZIP archive with a pickle): a dict of tensors,
 * or one that holds such a dict as `state_dict` or `model`.
 * @throws INVALID_FILE for what is damaged or asks for more than tensors, UNSUPPORTED_MODEL for other layouts
 */
export async function torchTensors(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<Map<string, StoredTensor>> {
  const entries = await readZip(source, signal);
  const pickles = [...entries.keys()].filter((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (pickles.length !== 1)
    throw fault(
      source.name,
      'expected a ZIP archive of torch.save, with one data.pkl; TorchScript is not read',
    );
  const root = pickles[0]!.slice(0, -'data.pkl'.length);
  const order = entries.get(`${root}byteorder`);
  if (order && order.size < 16) {
    const text = new TextDecoder().decode(await new ZipSource(source, order).readWhole(signal));
    if (text !== 'little')
      throw new EdgeError(
        'UNSUPPORTED_MODEL',
        `${source.name}: its byte order is '${text}'; only 'little' is read`,
      );
  }
  const entry = entries.get(pickles[0]!)!;
  if (entry.size > PICKLE_LIMITS.bytes)
    throw fault(source.name, `data.pkl has ${entry.size} bytes; at most ${PICKLE_LIMITS.bytes} are read`);
  const pickle = new ZipSource(source, entry);
  const found = stateDict(readPickle(pickle.name, await pickle.readWhole(signal), globals));
  if (!found) throw fault(source.name, 'expected a dict of tensors, or one with a state_dict in it');
  const sources = new Map<string, ByteSource>();
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of found) {
    if (name.length > TORCH_LIMITS.nameLength) throw fault(source.name, 'a tensor name is too long');
    tensors.set(name, stored(source, name, tensor, entries, root, sources));
  }
  return tensors;
}

function stateDict(value: Pickled, depth = 0): Map<string, TorchTensor> | null {
  if (!(value instanceof Dict)) return null;
  const tensors = new Map<string, TorchTensor>();
  for (const [name, item] of value.entries)
    if (typeof name === 'string' && item instanceof TorchTensor) tensors.set(name, item);
  if (tensors.size > 0 && tensors.size <= TORCH_LIMITS.tensors) return tensors;
  if (depth > 0) return null;
  for (const key of ['state_dict', 'model']) {
    const inner = stateDict(value.entries.get(key) ?? null, 1);
    if (inner) return inner;
  }
  return null;
}

function stored(
  source: ByteSource,
  name: string,
  { storage, offset, shape, stride }: TorchTensor,
  entries: ReadonlyMap<string, ZipEntry>,
  root: string,
  sources: Map<string, ByteSource>,
): StoredTensor {
  const label = `tensor '${name.slice(0, 100)}'`;
  const { key, dtype, bytes, count } = storage;
  const entry = entries.get(`${root}data/${key}`);
  if (!entry) throw fault(source.name, `${label}: its storage '${key.slice(0, 100)}' is missing`);
  if (entry.size !== count * bytes)
    throw fault(
      source.name,
      `${label}: expected its storage to have ${count * bytes} bytes, found ${entry.size}`,
    );
  const elements = elementCount(shape);
  if (!(offset + elements <= count))
    throw fault(
      source.name,
      `${label} [${shape}] at ${offset} reaches beyond its storage of ${count} elements`,
    );
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i]! > 1 && stride[i] !== step)
      throw new EdgeError(
        'UNSUPPORTED_MODEL',
        `${source.name}: ${label} [${shape}] lies with strides [${stride}]; save it with .contiguous()`,
      );
    step *= shape[i]!;
  }
  const file = sources.get(key) ?? new ZipSource(source, entry);
  sources.set(key, file);
  const at = offset * bytes;
  return floatStored(
    { name, file: source.name, dtype, shape },
    new StoredBytes(file, at, at + elements * bytes),
  );
}

function fault(file: string, message: string): EdgeError {
  return new EdgeError('INVALID_FILE', `${file}: ${message}`);
}
