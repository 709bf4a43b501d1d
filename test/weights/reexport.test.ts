import { describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import type { FileSet } from '../../src/io/types.ts';
import type { Quantize } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { exportGguf } from '../../src/weights/gguf_export.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import type { Checkpoint } from '../../src/weights/types.ts';
import { relativeError } from '../helpers/compare.ts';
import { FIXTURES, loadFixture } from '../helpers/fixtures.ts';
import { expectError, files, json } from './files.ts';
import { loadedLogits } from './loaded.ts';
import { asMlx, mlxFile } from './mlx_file.ts';
import { asStateSpaces, IDS, inShards, type RawFixture, rawFixture, safetensors } from './reexport.ts';
import { torchFile } from './torch_file.ts';

type Files = Record<string, Uint8Array>;
type Export = (fixture: RawFixture, quantize: Quantize) => Files | Promise<Files>;

/** A model as an exporter of ours writes it. */
async function through(
  fixture: RawFixture,
  quantize: Quantize,
  write: (checkpoint: Checkpoint, plan: ReturnType<typeof planOf>) => AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  const checkpoint = await openCheckpoint(await asIs(fixture));
  const chunks: Uint8Array[] = [];
  for await (const chunk of write(checkpoint, planOf(checkpoint, quantize))) chunks.push(chunk.slice());
  return new Uint8Array(Buffer.concat(chunks));
}

function planOf(checkpoint: Checkpoint, quantize: Quantize) {
  const blueprint = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
  const program = blueprint.program({ chunk: 64, maxContext: 512 });
  const { formats } = weightFormats(checkpoint, blueprint.sources, program.weights, quantize);
  return { ...blueprint, program, formats };
}

const asIs = async ({ configBytes, tensors }: RawFixture): Promise<FileSet> =>
  files({ 'model.safetensors': await safetensors(tensors), 'config.json': configBytes });

/** Every format that is read, as its makers write it. */
const FORMATS: Readonly<Record<string, Export>> = {
  'safetensors in shards': async ({ configBytes, tensors }) => ({
    ...(await inShards(tensors, ['model', 'safetensors'], safetensors)),
    'config.json': configBytes,
  }),
  PyTorch: ({ configBytes, tensors }) => ({
    'pytorch_model.bin': torchFile(tensors),
    'config.json': configBytes,
  }),
  'PyTorch, deflated': ({ configBytes, tensors }) => ({
    'pytorch_model.bin': torchFile(tensors, { deflate: true }),
    'config.json': configBytes,
  }),
  'PyTorch, zip64, in shards': async ({ configBytes, tensors }) => ({
    ...(await inShards(tensors, ['pytorch_model', 'bin'], (part) => torchFile(part, { zip64: true }))),
    'config.json': configBytes,
  }),
  'state-spaces, safetensors': async (fixture) => {
    const { config, tensors } = asStateSpaces(fixture);
    return { 'model.safetensors': await safetensors(tensors), 'config.json': json(config) };
  },
  'state-spaces, PyTorch': (fixture) => {
    const { config, tensors } = asStateSpaces(fixture);
    return { 'pytorch_model.bin': torchFile(tensors), 'config.json': json(config) };
  },
  MLX: async (fixture) => {
    const { config, tensors } = asMlx(fixture);
    return { 'model.safetensors': await mlxFile(config, tensors) };
  },
  'our own': async (fixture, quantize) => ({
    'model.safetensors': await through(fixture, quantize, (checkpoint, { program, sources, formats }) => {
      const linear = Object.entries(formats).filter(([name]) => program.weights[name]!.role === 'linear');
      return convertCheckpoint(
        checkpoint,
        new Map(linear.map(([name, format]) => [sources[name]!.tensor, format])),
      );
    }),
  }),
  GGUF: async (fixture, quantize) => ({
    'model.gguf': await through(fixture, quantize, (checkpoint, plan) => exportGguf({ checkpoint, ...plan })),
  }),
};

/** What a format has no place for. */
const CANNOT: Readonly<Record<string, { architectures: readonly string[]; fixtures?: readonly string[] }>> = {
  'state-spaces, safetensors': { architectures: ['rene', 'granitemoehybrid', 'falcon_h1'] }, // other blocks
  'state-spaces, PyTorch': { architectures: ['rene', 'granitemoehybrid', 'falcon_h1'] },
  MLX: { architectures: ['granitemoehybrid', 'falcon_h1'] }, // cartesia-mlx knows no multipliers
  // llama.cpp has no blocks of Rene's; its mamba2 has no biases of projections.
  GGUF: { architectures: ['rene'], fixtures: ['mamba2-c-untied-f16'] },
};
const QUANTIZED = ['our own', 'GGUF'];

function holds(format: string, name: string): boolean {
  const { config, tensors } = loadFixture(name);
  const { architecture } = findArchitecture(config).read(config, shapes(tensors));
  const { architectures = [], fixtures = [] } = CANNOT[format] ?? {};
  return !architectures.includes(architecture) && !fixtures.includes(name);
}

const shapes = (tensors: ReturnType<typeof loadFixture>['tensors']) =>
  new Map([...tensors].map(([name, { shape }]) => [name, { dtype: 'F32', shape }]));

describe.each(FIXTURES)('%s', (name) => {
  const fixture = rawFixture(name);
  const logits = async (set: FileSet, quantize: Quantize = 'none') =>
    new Uint8Array((await loadedLogits(set, IDS, { last: 3, quantize })).buffer);

  test('as it is: the published logits', async () => {
    const { expected } = loadFixture(name);
    const [key, wanted] = [...expected].find(([key]) => key.endsWith('.logits'))!;
    const ids = expected.get(key.replace('.logits', '.ids'))!.values;
    const found = await loadedLogits(await asIs(fixture), ids, { last: wanted.shape[0]! });
    expect(relativeError(found, wanted.values)).toBeLessThanOrEqual(1e-4);
  });

  const held = Object.keys(FORMATS).filter((format) => holds(format, name));
  /** llama.cpp has no parameters for Falcon-H1's multipliers: folded into weights, they round otherwise. */
  const folded = (format: string) => format === 'GGUF' && name === 'falcon-h1-multipliers';
  const same = (format: string, found: Uint8Array, wanted: Uint8Array, tolerance: number) => {
    if (!folded(format)) return expect(found).toEqual(wanted);
    const error = relativeError(new Float32Array(found.buffer), new Float32Array(wanted.buffer));
    expect(error).toBeLessThanOrEqual(tolerance);
  };

  test.each(held)('%s: the same logits, bit for bit', async (format) => {
    const found = await logits(files(await FORMATS[format]!(fixture, 'none')));
    same(format, found, await logits(await asIs(fixture)), 1e-5);
  });

  test.each(
    held
      .filter((format) => QUANTIZED.includes(format))
      .flatMap((format) => [
        [format, 'q4'],
        [format, 'q8'],
      ]) as [string, Quantize][],
  )('%s, %s: the same as quantized while it loads', async (format, quantize) => {
    const found = await logits(files(await FORMATS[format]!(fixture, quantize)));
    same(format, found, await logits(await asIs(fixture), quantize), 2e-3); // scales are f16
  });

  const refused = held.includes('GGUF') ? [] : ['GGUF'];
  test.each(refused)('%s has no place for it, and says so', (format) =>
    expectError(() => FORMATS[format]!(fixture, 'none'), 'UNSUPPORTED_MODEL', /no place|has no/),
  );
});
