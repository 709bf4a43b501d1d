import { describe, expect, test } from 'vitest';
import { architectures, findArchitecture } from '../../models/index.ts';
import { canonicalNames } from '../../models/names.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import type { TensorShape } from '../../src/weights/types.ts';
import { FIXTURES, loadFixture } from '../helpers/fixtures.ts';
import { expectError, files, json } from '../weights/files.ts';
import { loadedLogits } from '../weights/loaded.ts';
import { rawFixture, safetensors } from '../weights/reexport.ts';

const OPTIONS = { chunk: 16, maxContext: 100 };
const HEAD = /^lm_head\./;

/** Names that the same tensors have where a model was saved bare, or wrapped by others. */
const RENAMES: [string, (name: string, root: string) => string][] = [
  ['bare', (name, root) => (HEAD.test(name) ? name : name.slice(root.length))],
  ['bare, as model.', (name, root) => (HEAD.test(name) ? name : `model.${name.slice(root.length)}`)],
  ['all within model.', (name) => `model.${name}`],
  ['all within module.', (name) => `module.${name}`],
  ['all within base_model.model.', (name) => `base_model.model.${name}`],
  ['within language_model., the head outside', (name) => (HEAD.test(name) ? name : `language_model.${name}`)],
  ['the head within', (name, root) => (HEAD.test(name) ? root + name : name)],
];

describe.each(FIXTURES)('%s', (fixture) => {
  const { config, tensors } = loadFixture(fixture);
  const { root } = architectures.find(({ matches }) => matches(config))!.tensorNames;
  const read = (found: ReadonlyMap<string, TensorShape>) => findArchitecture(config).read(config, found);
  const wanted = read(tensors);

  test.each(RENAMES)('%s: the same program, from the tensors that are there', (_, rename) => {
    const renamed = new Map([...tensors].map(([name, tensor]) => [rename(name, root), tensor]));
    const { sources, program } = read(renamed);
    expect(program(OPTIONS)).toEqual(wanted.program(OPTIONS));
    expect(sources).toEqual(
      Object.fromEntries(
        Object.entries(wanted.sources).map(([weight, source]) => [
          weight,
          { ...source, tensor: rename(source.tensor, root) },
        ]),
      ),
    );
  });
});

test('an embedding that could be either of two names nothing', () => {
  const names = { root: 'model.', embedding: ['embed_tokens.weight'] };
  const shape: TensorShape = { dtype: 'F32', shape: [1] };
  const tensors = new Map(['a.embed_tokens.weight', 'b.embed_tokens.weight'].map((name) => [name, shape]));
  expect([...canonicalNames(tensors, names)]).toEqual([...tensors.keys()].map((name) => [name, name]));
});

test("the names of the architecture's own are not looked for", () => {
  const names = { root: 'model.', embedding: ['embed_tokens.weight'] };
  const shape: TensorShape = { dtype: 'F32', shape: [1] };
  const tensors = new Map(
    ['model.embed_tokens.weight', 'draft.embed_tokens.weight'].map((name) => [name, shape]),
  );
  expect([...canonicalNames(tensors, names)]).toEqual([...tensors.keys()].map((name) => [name, name]));
});

describe("Mistral's own layout", () => {
  const { config, tensors } = rawFixture('mamba2-b-bf16');
  const params = {
    dim: config.hidden_size,
    n_layers: config.num_hidden_layers,
    vocab_size: config.vocab_size,
    n_groups: config.n_groups,
    model_type: 'mamba',
    tie_embeddings: config.tie_word_embeddings,
    pad_vocab_size_multiple: 1,
    rms_norm: true,
    residual_in_fp32: true,
    fused_add_norm: true,
  };
  const layout = async (more: object) =>
    files({
      'params.json': json({ ...params, ...more }),
      'consolidated.safetensors': await safetensors(
        Object.fromEntries(
          Object.entries(tensors).map(([name, tensor]) => [
            `model.${name.replace('embeddings', 'embedding')}`,
            tensor,
          ]),
        ),
      ),
    });

  test('params.json and consolidated.safetensors: the logits of the same model in the layout of transformers', async () => {
    const ids = [5, 17, 3];
    const transformers = files({
      'config.json': json(config),
      'model.safetensors': await safetensors(tensors),
    });
    expect(await loadedLogits(await layout({}), ids)).toEqual(await loadedLogits(transformers, ids));
    const checkpoint = await openCheckpoint(await layout({}));
    const blueprint = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
    expect(blueprint).toMatchObject({ architecture: 'mamba2', bosTokenId: 1, eosTokenIds: [2] });
  });

  test('of another model: refused by its name', async () => {
    await expectError(
      async () => openCheckpoint(await layout({ model_type: 'transformer' })),
      'UNSUPPORTED_MODEL',
      /params\.json.*"transformer".*Mamba-Codestral/,
    );
  });
});
