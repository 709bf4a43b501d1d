import { EdgeError } from '../errors.ts';
import type { JsonObject } from '../types.ts';

/** The file of weights beside it. */
export const MISTRAL_WEIGHTS = 'consolidated.safetensors';

/**
 * The params.json of Mistral's own layout, of which Mamba-Codestral is the one that runs here, as a config in the words of
 * state-spaces, whose tensors it has. bos and eos are those of Mistral's tokenizers.
 * @throws UNSUPPORTED_MODEL for models that are no Mamba-2
 */
export function mistralConfig(file: string, params: JsonObject): JsonObject {
  const { dim, n_layers, n_groups, model_type, ...others } = params;
  if (model_type !== 'mamba')
    throw new EdgeError(
      'UNSUPPORTED_MODEL',
      `${file}: model_type ${JSON.stringify(model_type) ?? 'none'} of Mistral's layout; only "mamba" (Mamba-Codestral) is ` +
        'supported there. Other models need the layout of transformers, with config.json and model.safetensors',
    );
  return {
    bos_token_id: 1,
    eos_token_id: 2,
    ...others,
    d_model: dim ?? null,
    n_layer: n_layers ?? null,
    ssm_cfg: { layer: 'Mamba2', ...(n_groups !== undefined && { ngroups: n_groups }) },
  };
}
