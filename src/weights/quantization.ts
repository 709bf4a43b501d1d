import { EdgeError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { joinFp8 } from './fp8.ts';
import { isObject } from './json.ts';
import { joinMlx, type MlxScheme } from './mlx_affine.ts';
import type { StoredTensor } from './types.ts';

/** How a config says that its weights are quantized. */
export interface Declared {
  method: string; // 'mlx', or what transformers calls quant_method
  label: string; // 'GPTQ, 4 bits, groups of 128'
  settings: JsonObject;
  loads: boolean; // whether weights of this method are read here
}

/** Usual names of transformers' methods; others are named as the config names them. */
const NAMES: Readonly<Record<string, string>> = {
  mlx: 'MLX',
  bitsandbytes: 'bitsandbytes',
  gptq: 'GPTQ',
  awq: 'AWQ',
  'auto-round': 'AutoRound',
  'compressed-tensors': 'compressed-tensors',
  hqq: 'HQQ',
  eetq: 'EETQ',
  quanto: 'Quanto',
  torchao: 'torchao',
  fp8: 'FP8',
  fbgemm_fp8: 'FBGEMM FP8',
  modelopt: 'NVIDIA ModelOpt',
  quark: 'AMD Quark',
  aqlm: 'AQLM',
  quip: 'QuIP#',
  spqr: 'SpQR',
  vptq: 'VPTQ',
  higgs: 'HIGGS',
  bitnet: 'BitNet',
  mxfp4: 'MXFP4',
};
/** Methods whose FP8 weights are read; what else they pack is refused. */
const FP8: readonly string[] = ['fp8', 'fbgemm_fp8', 'compressed-tensors', 'modelopt', 'quark'];
/** Methods that transformers also applies to floats while it loads them: such files are floats. */
const ON_LOAD: readonly string[] = ['bitsandbytes', 'eetq', 'hqq', 'quanto', 'torchao'];

/** Names that only the tensors of a method have. */
const SIGNATURES: readonly (readonly [name: RegExp, label: string])[] = [
  [/\.(absmax|quant_map|nested_absmax|SCB|weight_format)$|\.quant_state\./, 'bitsandbytes'],
  [/\.g_idx$/, 'GPTQ'],
  [/\.(qweight|qzeros)$/, 'GPTQ or AWQ'],
  [/\.(weight_packed|weight_shape|weight_zero_point|weight_global_scale|bitmask)$/, 'compressed-tensors'],
  [/\.W_q$/, 'HQQ'],
  [/\.weight_scales$/, 'EETQ'],
  [/\.weight\._(data|scale|shift)$/, 'Quanto'],
  [/[.:]_?weight_(qdata|int_data)$|\._weight_(scale|zero_point)$/, 'torchao'],
  [/\.codebooks$/, 'AQLM'],
  [/\.Qidxs$/, 'QuIP#'],
  [/\.weight_scale_2$/, 'NVIDIA ModelOpt'],
  [/\.(weight_scale|weight_scale_inv|scale_weight)$/, 'a method that config.json does not name'],
  [/\.(scales|biases)$/, 'a method that config.json does not name; those of mlx-lm have such tensors'],
];
const INTEGERS: readonly string[] = ['U8', 'I8', 'I16', 'U16', 'I32', 'U32'];

/** A config's description of quantization: `quantization` of mlx-lm, `quantization_config` of transformers. */
export function declaredQuantization(config: JsonObject): Declared | null {
  const found = [config.quantization, config.quantization_config].find(
    (value) => isObject(value) && Object.keys(value).length > 0,
  );
  if (!isObject(found)) return null;
  const said = found.quant_method;
  const mlx = said === undefined && ['group_size', 'bits', 'mode'].some((key) => found[key] !== undefined);
  const method = mlx ? 'mlx' : typeof said === 'string' ? said : 'unknown';
  const { label, loads } = mlx ? labelOfMlx(found) : labelOf(method, found);
  return { method, label, settings: found, loads };
}

function labelOfMlx(settings: JsonObject): { label: string; loads: boolean } {
  const mode = settings.mode ?? 'affine';
  const label = `MLX, ${text(mode)}, ${text(settings.bits ?? 4)} bits, groups of ${text(settings.group_size ?? 64)}`;
  return { label, loads: mode === 'affine' };
}

function labelOf(method: string, settings: JsonObject): { label: string; loads: boolean } {
  const name = Object.hasOwn(NAMES, method) ? NAMES[method]! : `'${method.slice(0, 40)}'`;
  const { bits, w_bit, group_size, load_in_4bit, load_in_8bit, bnb_4bit_quant_type: type } = settings;
  const width = load_in_4bit === true ? 4 : load_in_8bit === true ? 8 : (bits ?? w_bit);
  const kind = settings.format ?? settings.quant_algo ?? (load_in_4bit === true ? type : undefined);
  const parts = [
    name,
    typeof kind === 'string' && kind.slice(0, 40),
    typeof width === 'number' && `${width} bits`,
    typeof group_size === 'number' && group_size > 0 && `groups of ${group_size}`,
  ];
  const algorithm = text(settings.quant_algo ?? 'FP8');
  return {
    label: parts.filter(Boolean).join(', '),
    loads: FP8.includes(method) && algorithm.startsWith('FP8'),
  };
}

function text(value: JsonValue): string {
  return typeof value === 'string' ? value.slice(0, 40) : JSON.stringify(value).slice(0, 40);
}

/**
 * The tensors of a checkpoint with quantized ones as matrices, and its config without what it says of that.
 * @throws UNSUPPORTED_MODEL naming the method where it is none of ours, INVALID_FILE where config and tensors contradict
 */
export function readQuantized(
  name: string,
  config: JsonObject,
  tensors: ReadonlyMap<string, StoredTensor>,
): { config: JsonObject; tensors: ReadonlyMap<string, StoredTensor> } {
  const declared = declaredQuantization(config);
  const read = joined(name, declared, tensors);
  const packed = findPacked(read);
  if (packed) throw unsupported(name, declared?.label ?? packed.label, packed.tensor);
  if (declared && !declared.loads && declared.method !== 'mlx' && !ON_LOAD.includes(declared.method))
    throw unsupported(name, declared.label);
  const { quantization: _, quantization_config: __, ...rest } = config;
  return { config: declared ? rest : config, tensors: read };
}

function joined(
  name: string,
  declared: Declared | null,
  tensors: ReadonlyMap<string, StoredTensor>,
): ReadonlyMap<string, StoredTensor> {
  if (declared?.method === 'mlx')
    return joinMlx(tensors, (module) => mlxScheme(name, declared.settings, module));
  if (declared && FP8.includes(declared.method)) return joinFp8(tensors, blockOf(declared.settings));
  return tensors;
}

/** A module's own settings if it has some, as mixed recipes write them; what they leave out is MLX's default. */
function mlxScheme(name: string, settings: JsonObject, module: string): Required<MlxScheme> {
  const own = Object.hasOwn(settings, module) ? settings[module] : null;
  const found = isObject(own) ? own : settings;
  const { group_size: group = 64, bits = 4, mode = 'affine' } = found;
  if (mode !== 'affine') throw unsupported(`${name}: '${module.slice(0, 100)}'`, labelOfMlx(found).label);
  if (typeof group !== 'number' || typeof bits !== 'number')
    throw new EdgeError(
      'INVALID_FILE',
      `${name}: expected numbers for group_size and bits of '${module.slice(0, 100)}' in config.json's quantization, ` +
        `found ${text(group)} and ${text(bits)}`,
    );
  return { group, bits };
}

/** [rows, cols] of the blocks that share a scale, as transformers' fp8 and compressed-tensors say it. */
function blockOf({ weight_block_size, config_groups }: JsonObject): readonly [number, number] | null {
  const groups = isObject(config_groups) ? Object.values(config_groups) : [];
  const weights = groups.map((group) => (isObject(group) && isObject(group.weights) ? group.weights : {}));
  const block = weight_block_size ?? weights.map((of) => of.block_structure).find(Boolean);
  if (!Array.isArray(block) || block.length !== 2) return null;
  const [height, width] = block;
  const sizes = [height, width].every((n) => typeof n === 'number' && Number.isSafeInteger(n) && n > 0);
  return sizes ? [height as number, width as number] : null;
}

/** A tensor that shows that weights are still packed. */
function findPacked(
  tensors: ReadonlyMap<string, StoredTensor>,
): { label: string; tensor: StoredTensor } | null {
  for (const [pattern, label] of SIGNATURES)
    for (const [name, tensor] of tensors) if (pattern.test(name)) return { label, tensor };
  for (const [name, tensor] of tensors)
    if (name.endsWith('.weight') && !tensor.format && INTEGERS.includes(tensor.dtype))
      return { label: 'a method that config.json does not name', tensor };
  return null;
}

function unsupported(name: string, label: string, tensor?: StoredTensor): EdgeError {
  const shown = tensor
    ? `has '${tensor.name.slice(0, 100)}', ${tensor.dtype} [${tensor.shape}]: its weights are`
    : 'is said by its config.json to be';
  return new EdgeError(
    'UNSUPPORTED_MODEL',
    `${name} ${shown} quantized by ${label}, which cannot be loaded; ` +
      'load the float checkpoint that it was made from (it is quantized while it loads), a GGUF file of it, or a folder of mlx-lm',
  );
}
