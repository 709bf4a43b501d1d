import { readFileSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { openFileSet } from '../../src/io/fileset.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { Q8, roundToNearest } from '../../src/weights/quantize.ts';

const folder = new URL('../../models/tiny', import.meta.url).pathname;
const master = new URL('../../models/train/master', import.meta.url).pathname;

test('the embedded model is 8 bits throughout and small enough to ship', async () => {
  expect(statSync(`${folder}/model.safetensors`).size).toBeLessThanOrEqual(14e6);
  const checkpoint = await openCheckpoint(await openFileSet(folder));
  const { sources, program } = findArchitecture(checkpoint.config).read(
    checkpoint.config,
    checkpoint.tensors,
  );
  const { weights } = program({ chunk: 64, maxContext: 512 });
  // Whatever is asked for, codes stay as they are.
  for (const quantize of [undefined, 'q4', 'q8', 'none'] as const) {
    const { formats } = weightFormats(checkpoint, sources, weights, quantize);
    for (const [name, { role }] of Object.entries(weights))
      expect(formats[name]).toEqual(role === 'linear' ? Q8 : { kind: 'float', dtype: 'f32' });
  }
  expect(JSON.parse(String(checkpoint.metadata.selftest)).length).toBeGreaterThan(0);
  expect(checkpoint.tokenizer).not.toBeNull();
  await checkpoint.close();
});

test('its config is inside the weights, the same as beside them', async () => {
  const blob = new Blob([readFileSync(`${folder}/model.safetensors`)]);
  const inside = await openCheckpoint(await openFileSet(blob));
  const beside = await openCheckpoint(await openFileSet(folder));
  expect(inside.config).toEqual(beside.config);
  expect(await inside.fingerprint()).toBe(await beside.fingerprint());
  await beside.close();
});

test('it is what our quantizer makes of the float16 master', async () => {
  const shipped = await openCheckpoint(await openFileSet(folder));
  const floats = await openCheckpoint(await openFileSet(master));
  expect([...shipped.tensors.keys()].sort()).toEqual([...floats.tensors.keys()].sort());
  for (const [name, tensor] of shipped.tensors) {
    const [found, source] = [
      await tensor.read(0, tensor.rows),
      await floats.tensors.get(name)!.read(0, tensor.rows),
    ];
    const wanted = 'q' in found ? roundToNearest(toF32(source), tensor.rows, tensor.cols, Q8) : source;
    const same = (a: ArrayBufferView, b: ArrayBufferView) =>
      Buffer.compare(
        Buffer.from(a.buffer, a.byteOffset, a.byteLength),
        Buffer.from(b.buffer, b.byteOffset, b.byteLength),
      ) === 0;
    if ('q' in found && 'q' in wanted)
      expect([same(found.q, wanted.q), same(found.scale, wanted.scale)]).toEqual([true, true]);
    else if (!('q' in found) && !('q' in wanted)) expect(same(found.data, wanted.data), name).toBe(true);
    else expect.fail(`${name} is of another kind`);
  }
  await Promise.all([shipped.close(), floats.close()]);
});
