import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { openFileSet } from '../../src/io/fileset.ts';
import { writeFileAtomic } from '../../src/runtime/node.ts';
import type { JsonValue, Quantize } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { repack } from '../../src/weights/gguf.ts';
import { exportGguf, packBlocks } from '../../src/weights/gguf_export.ts';
import { ggufTemplates } from '../../src/weights/gguf_vocabulary.ts';
import { inspectFile } from '../../src/weights/inspect.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { writeGguf } from '../helpers/made_gguf.ts';
import { loadedLogits } from './loaded.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-export-'));
afterAll(() => rmSync(folder, { recursive: true }));
const IDS = [5, 11, 42, 7];

/** A model as GGUF, and what its tensors became. */
async function exported(source: string, name: string, quantize: Quantize): Promise<string> {
  const checkpoint = await openCheckpoint(await openFileSet(source));
  try {
    const blueprint = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
    const program = blueprint.program({ chunk: 64, maxContext: 512 });
    const { formats } = weightFormats(checkpoint, blueprint.sources, program.weights, quantize);
    const file = join(folder, `${name}.gguf`);
    await writeFileAtomic(file, exportGguf({ ...blueprint, checkpoint, program, formats }));
    return file;
  } finally {
    await checkpoint.close();
  }
}

const logits = async (path: string, quantize: Quantize = 'none') =>
  loadedLogits(await openFileSet(path), IDS, { last: 4, quantize });

describe('blocks', () => {
  test.each([
    [4, false, 18],
    [4, true, 20],
    [8, false, 34],
  ] as const)('%i bits, offsets %s: to the canonical form and back', (bits, hasBias, size) => {
    const blocks = Uint8Array.from({ length: 24 * size }, (_, i) => (i * 89 + (i >> 3)) & 255);
    const format = { kind: 'quant', bits, group: 32, scaleDtype: 'f16', hasBias } as const;
    expect(packBlocks(repack(blocks, 6, 128, format))).toEqual(blocks);
  });
});

describe('a file of real proportions', () => {
  test.each(['f32', 'q8_0', 'q4_0'] as const)(
    '%s: the same logits; the same tensors byte for byte',
    async (quant) => {
      const made = join(folder, `made-${quant}.gguf`);
      writeGguf(made, { model: 'tiny', quant });
      const again = await exported(made, `again-${quant}`, 'none');
      expect(await logits(again)).toEqual(await logits(made));
      const tensors = async (path: string) => {
        const source = (await (await openFileSet(path)).open(path.split('/').at(-1)!))!;
        const { tensors, container } = await inspectFile(source);
        await source.close();
        expect(container).toBe('gguf');
        return tensors.sort((a, b) => (a.name < b.name ? -1 : 1));
      };
      expect(await tensors(again)).toEqual(await tensors(made));
    },
  );

  test.each(['q4_0', 'q8_0', 'q4_k', 'q6_k'])('%s in our own container: the same logits', async (quant) => {
    const made = join(folder, `peer-${quant}.gguf`);
    writeGguf(made, { model: 'tiny', quant, emb: quant });
    const checkpoint = await openCheckpoint(await openFileSet(made));
    const own = join(folder, `${quant}.safetensors`);
    await writeFileAtomic(own, convertCheckpoint(checkpoint, new Map()));
    await checkpoint.close();
    expect(await logits(own)).toEqual(await logits(made));
  });

  test('quantized on the way: as when it is loaded', async () => {
    const made = join(folder, 'floats.gguf');
    writeGguf(made, { model: 'tiny', quant: 'f32' });
    for (const quantize of ['q4', 'q8'] as const) {
      const file = await exported(made, quantize, quantize);
      expect(await logits(file)).toEqual(await logits(made, quantize));
    }
  });
});

test('chat templates go along', () => {
  const named = [
    { name: 'default', template: 'a' },
    { name: 'rag', template: 'b' },
  ];
  for (const [found, keys] of [
    ['a', { '': 'a' }],
    [named, { '': 'a', '.rag': 'b' }],
    [[7], {}],
    [null, {}],
  ] as [JsonValue, Record<string, string>][])
    expect(ggufTemplates({ chat_template: found })).toEqual(
      Object.fromEntries(
        Object.entries(keys).map(([key, string]) => [`tokenizer.chat_template${key}`, { string }]),
      ),
    );
  expect(ggufTemplates(null)).toEqual({});
});
