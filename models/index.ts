import { EdgeError } from '../src/errors.ts';
import type { JsonObject } from '../src/types.ts';
import { GGUF_ARCHITECTURES } from '../src/weights/gguf_architectures.ts';
import type { TensorShape } from '../src/weights/types.ts';
import { falconH1 } from './falcon_h1.ts';
import { granite } from './granite.ts';
import { mamba2 } from './mamba2.ts';
import { canonicalNames } from './names.ts';
import { rene } from './rene.ts';
import type { Architecture, Blueprint } from './types.ts';

/** Every architecture that has a program: one line each. */
export const architectures: readonly Architecture[] = [
  mamba2, //
  rene,
  granite,
  falconH1,
];

/** Reads a checkpoint whose names may have another prefix than the architecture's; its sources have the checkpoint's. */
function readNamed(
  architecture: Architecture,
  config: JsonObject,
  tensors: ReadonlyMap<string, TensorShape>,
): Blueprint {
  const names = canonicalNames(tensors, architecture.tensorNames);
  const named = new Map([...names].map(([canonical, name]) => [canonical, tensors.get(name)!]));
  const blueprint = architecture.read(config, named);
  const sources = Object.entries(blueprint.sources).map(
    ([weight, source]) => [weight, { ...source, tensor: names.get(source.tensor)! }] as const,
  );
  return { ...blueprint, sources: Object.fromEntries(sources) };
}

/** The architecture that a config asks for. Throws UNSUPPORTED_MODEL, naming what was found, if there is none. */
export function findArchitecture(config: JsonObject): Architecture {
  const found = architectures.find((architecture) => architecture.matches(config));
  if (found) return { ...found, read: (config, tensors) => readNamed(found, config, tensors) };
  const { model_type, architectures: classes, ssm_cfg, 'general.architecture': gguf } = config;
  if (gguf !== undefined)
    throw new EdgeError(
      'UNSUPPORTED_MODEL',
      `No program is written for GGUF files with general.architecture ${JSON.stringify(gguf)}; ` +
        `supported are ${GGUF_ARCHITECTURES.join(', ')}`,
    );
  const facts = Object.entries({ model_type, architectures: classes, ssm_cfg })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`.slice(0, 120));
  throw new EdgeError(
    'UNSUPPORTED_MODEL',
    `No program is written for this model: its config has ${facts.join(', ') || 'no model_type'}; ` +
      `supported architectures are ${architectures.map(({ name }) => name).join(', ')}`,
  );
}
