import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { OPCODE_NAMES, Op } from '../../src/weights/pickle_opcodes.ts';
import { expectError, files, json } from './files.ts';
import { pickle, pickledTensor, zip } from './torch_file.ts';

const config = json({ model_type: 'other' });
const open = (bytes: Uint8Array) =>
  openCheckpoint(files({ 'pytorch_model.bin': bytes, 'config.json': config }));
const refuse = (bytes: Uint8Array, ...patterns: (RegExp | string)[]) =>
  expectError(() => open(bytes), 'INVALID_FILE', /pytorch_model\.bin/, ...patterns);
const real = (name: string) =>
  new Uint8Array(readFileSync(new URL(`torch/${name}.bin`, import.meta.url).pathname));

async function values(bytes: Uint8Array, tensor: string): Promise<number[]> {
  const checkpoint = await open(bytes);
  const stored = checkpoint.tensors.get(tensor)!;
  return [...toF32(await stored.read(0, stored.rows))];
}

const data = new Uint8Array(Float32Array.from({ length: 12 }, (_, i) => i / 4).buffer);
const item = { name: 'w', dtype: 'F32', shape: [3, 4], key: '0', count: 12 };
/** An archive with one tensor of one storage, or whatever is asked for. */
const archive = (body: number[] = pickle.dict([['w', pickledTensor(item)]]), bytes = data) =>
  zip([
    { name: 'x/data.pkl', data: pickle.of(body) },
    { name: 'x/data/0', data: bytes },
  ]);

describe('files of PyTorch 2.13 itself', () => {
  const base = Array.from({ length: 24 }, (_, i) => i / 8 - 1);

  test.each(['tensors', 'nested'])('%s: types, parameters, views, tied storages', async (name) => {
    const bytes = real(name);
    const checkpoint = await open(bytes);
    expect(checkpoint.container).toBe('pytorch');
    const shapes = [...checkpoint.tensors].map(([key, { dtype, shape }]) => [key, dtype, shape]);
    expect(shapes).toEqual([
      ['embedding.weight', 'F32', [6, 4]],
      ['head.weight', 'F32', [6, 4]],
      ['view', 'F32', [3, 4]],
      ['half', 'F16', [4, 6]],
      ['brain', 'BF16', [24]],
      ['scalar', 'F32', []],
      ['ids', 'I64', [3]],
    ]);
    expect(await values(bytes, 'embedding.weight')).toEqual(base);
    expect(await values(bytes, 'head.weight')).toEqual(base);
    expect(await values(bytes, 'view')).toEqual(base.slice(5, 17));
    expect(await values(bytes, 'half')).toEqual(base);
    expect(await values(bytes, 'brain')).toEqual(base);
    expect(await values(bytes, 'scalar')).toEqual([2.5]);
    await expectError(() => values(bytes, 'ids'), 'UNSUPPORTED_MODEL', /'ids'/, /I64/);
    expect([...toF32(await checkpoint.tensors.get('half')!.read(1, 2))]).toEqual(base.slice(6, 18));
  });

  test('transposed tensors and the format before 1.6 are refused, with what to do', async () => {
    await expectError(() => open(real('transposed')), 'UNSUPPORTED_MODEL', /'w'/, /\.contiguous\(\)/);
    await refuse(real('legacy'), /save it again/);
  });
});

describe('pickles', () => {
  test('gadgets are refused by name, and nothing runs', async () => {
    const { text, tuple, call, global } = pickle;
    const gadgets: [string, string, number[]][] = [
      ['os', 'system', tuple(text('touch /tmp/edge-ssm-was-here'))],
      ['posix', 'system', tuple(text('true'))],
      ['nt', 'system', tuple(text('true'))],
      ['builtins', 'eval', tuple(text('1'))],
      ['__builtin__', 'exec', tuple(text('1'))],
      ['subprocess', 'Popen', tuple(text('true'))],
      ['torch', 'load', tuple(text('x'))],
      ['torch.hub', 'load', tuple(text('x'))],
      ['collections', 'OrderedDict.__reduce__', tuple()],
      ['constructor', 'constructor', tuple()],
      ['', '__proto__', tuple()],
    ];
    for (const [module, name, args] of gadgets) {
      await refuse(archive(call(global(module, name), args)), `${module}.${name}`, /nothing was executed/);
      const late = pickle.dict([
        ['w', pickledTensor(item)],
        ['v', call(global(module, name), args)],
      ]);
      await refuse(archive(late), `${module}.${name}`);
      const stacked = [...text(module), ...text(name), 0x93, ...args, 0x52];
      await refuse(archive(stacked), `${module}.${name}`);
    }
  });

  test('every opcode that is not read is refused by its name', async () => {
    const read = new Set<number>(Object.values(Op));
    let refused = 0;
    for (const [code, name] of Object.entries(OPCODE_NAMES)) {
      expect(read.has(Number(code)), name).toBe(false);
      await refuse(archive([...pickle.tuple(), Number(code)]), ` ${name},`);
      refused++;
    }
    expect(refused + read.size).toBe(68); // opcodes of Python's pickletools
    await refuse(archive([0xff]), /0xff/);
  });

  test('calls with other arguments than PyTorch makes', async () => {
    const { call, global, tuple, text, int } = pickle;
    const rebuild = global('torch._utils', '_rebuild_tensor_v2');
    await refuse(archive(call(rebuild, tuple())), /_rebuild_tensor_v2/);
    await refuse(archive(call(rebuild, tuple(text('x'), int(0), tuple(), tuple()))), /_rebuild_tensor_v2/);
    await refuse(archive(call(global('collections', 'OrderedDict'), tuple(int(1)))), /OrderedDict/);
    await refuse(archive(call(global('torch', 'FloatStorage'), tuple(int(1)))), /FloatStorage/);
    await refuse(archive([...tuple(text('module')), 0x51]), /persistent id/);
    await refuse(archive([...pickle.tuple(), 0x29, 0x52]), /a call of what is no name/);
    await refuse(archive([...int(1), ...pickle.dict([]), 0x62]), /BUILD/);
  });

  test('limits and damage', async () => {
    await refuse(archive([]), /a value is missing/);
    await refuse(archive([0x58, 255, 255, 255, 127]), /at most 1048576/);
    await refuse(archive([0x58, 9, 0, 0, 0, 65]), /ends too early/);
    await refuse(archive([0x68, 7]), /memo 7/);
    await refuse(archive([0x74]), /mark is missing/);
    await refuse(archive([0x8a, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1]), /an integer of 9 bytes/);
    await refuse(archive([0x80, 1]), /protocol 1/);
    await refuse(archive(Array(4_000_001).fill(0x4e)), /more than 4000000 operations/);
    await refuse(archive(pickle.int(3)), /expected a dict of tensors/);
    await refuse(archive(pickle.dict([])), /expected a dict of tensors/);
  });

  test('tensors that contradict their storages', async () => {
    const one = (more: Partial<typeof item> & { offset?: number; stride?: number[] }) =>
      archive(pickle.dict([['w', pickledTensor({ ...item, ...more })]]));
    expect((await open(one({}))).tensors.get('w')!.shape).toEqual([3, 4]);
    await refuse(one({ key: '1' }), /'w'/, /storage '1' is missing/);
    await refuse(one({ key: '../0' }), /'w'/, /is missing/);
    await refuse(one({ count: 13 }), /'w'/, /52 bytes, found 48/);
    await refuse(one({ offset: 1 }), /'w'/, /beyond its storage/);
    await refuse(one({ shape: [2 ** 40, 2 ** 40] }), /'w'/, /beyond its storage/);
    await refuse(one({ shape: Array(9).fill(1) }), /_rebuild_tensor_v2/);
    await refuse(one({ stride: [4] }), /_rebuild_tensor_v2/);
    await refuse(one({ dtype: 'ComplexFloatStorage' }), /torch\.ComplexFloatStorage/);
    await expectError(() => open(one({ stride: [1, 3] })), 'UNSUPPORTED_MODEL', /'w'/, /strides \[1,3\]/);
  });
});

describe('ZIP archives', () => {
  const body = pickle.of(pickle.dict([['w', pickledTensor(item)]]));
  const withStorage = (more: object) =>
    zip([
      { name: 'x/data.pkl', data: body },
      { name: 'x/data/0', data, ...more },
    ]);

  test('bombs', async () => {
    const zeros = new Uint8Array(50_000_000);
    const huge = zip([
      { name: 'x/data.pkl', data: body },
      { name: 'x/data/0', data: zeros, deflate: true, size: 48 },
    ]);
    await expectError(() => values(huge, 'w'), 'INVALID_FILE', /data\/0/, /more than the 48 bytes/);
    await refuse(withStorage({ deflate: true, size: 2 ** 31 - 1 }), /no deflated stream/);
    const pkl = zip([{ name: 'x/data.pkl', data: new Uint8Array(80 * 2 ** 20), deflate: true }]);
    await refuse(pkl, /data\.pkl has 83886080 bytes; at most/);
  });

  test('names that lead out, twice, or are too long', async () => {
    for (const name of ['../x', '/etc/passwd', 'x/../../y', 'C:\\x', 'a\\b', 'x/./y', '', 'a\0b'])
      await refuse(zip([{ name, data }]), /leads out of its folder/);
    await refuse(
      zip([
        { name: 'a', data },
        { name: 'a', data },
      ]),
      /'a' occurs twice/,
    );
    await refuse(zip([{ name: 'n'.repeat(2000), data }]), /2000 bytes/);
  });

  test('overlaps', async () => {
    await refuse(withStorage({ header: 0 }), /overlaps/);
    await refuse(withStorage({ header: 7 }), /overlaps/);
    const shifted = withStorage({ header: 40 });
    await expectError(() => values(shifted, 'w'), 'INVALID_FILE', /overlaps|not where the directory says/);
    await refuse(withStorage({ packed: 4800, size: 4800 }), /overlaps|4800/);
  });

  test('what is not read', async () => {
    await refuse(withStorage({ method: 12 }), /method 12/);
    await refuse(withStorage({ flags: 1 }), /encrypted/);
    await refuse(zip([{ name: 'x/data.pkl', data: body }], { disk: 1 }), /several parts/);
    await refuse(
      zip([{ name: 'x/data.pkl', data: body }], { zip64: true, count: 2 ** 40 }),
      /entries; at most/,
    );
    await refuse(zip([{ name: 'x/other', data }]), /one data\.pkl/);
    await refuse(zip([{ name: 'x/data.pkl', data: body, crc: 1 }]), /checksum/);
    const big = zip([
      { name: 'x/data.pkl', data: body },
      { name: 'x/byteorder', data: new TextEncoder().encode('big') },
    ]);
    await expectError(() => open(big), 'UNSUPPORTED_MODEL', /byte order is 'big'/);
  });

  test('truncated anywhere', async () => {
    const whole = archive();
    await open(whole);
    for (let length = 0; length < whole.length; length++) await refuse(whole.subarray(0, length));
  });

  test('damaged deflated entries are refused when they are read', async () => {
    const whole = withStorage({ deflate: true });
    expect(await values(whole, 'w')).toEqual([...new Float32Array(data.buffer)]);
    const at = Buffer.from(whole).indexOf('x/data/0') + 8 + 4;
    const start = at + new DataView(whole.buffer).getUint16(at - 2, true);
    for (let i = 0; i < 8; i++) {
      const damaged = whole.slice();
      damaged[start + i]! ^= 0xff;
      await expectError(() => values(damaged, 'w'), 'INVALID_FILE', /data\/0/);
    }
  });
});
