import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { blank, config, f32, folder, json, MODULE, tensors, WEIGHT } from './changed_fixture.ts';
import { expectError, files } from './files.ts';
import { loadedLogits } from './loaded.ts';
import { IDS, type RawTensor } from './reexport.ts';
import { torchFile } from './torch_file.ts';

const plain = { [`${MODULE}.weight`]: null };
const SCHEMES: Record<string, [quantization: JsonObject, Record<string, RawTensor | null>, label: RegExp]> = {
  'bitsandbytes, 4 bits': [
    { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' },
    {
      [`${MODULE}.weight`]: blank('U8', 9000, 1),
      [`${MODULE}.weight.absmax`]: blank('U8', 30),
      [`${MODULE}.weight.quant_map`]: blank('F32', 16),
      [`${MODULE}.weight.quant_state.bitsandbytes__nf4`]: blank('U8', 80),
    },
    /bitsandbytes/,
  ],
  'bitsandbytes, 8 bits': [
    { quant_method: 'bitsandbytes', load_in_8bit: true },
    { [`${MODULE}.weight`]: blank('I8', ...WEIGHT.shape), [`${MODULE}.SCB`]: blank('F32', WEIGHT.shape[0]!) },
    /bitsandbytes/,
  ],
  GPTQ: [
    { quant_method: 'gptq', bits: 4, group_size: 128 },
    {
      ...plain,
      [`${MODULE}.qweight`]: blank('I32', 8, 300),
      [`${MODULE}.qzeros`]: blank('I32', 1, 38),
      [`${MODULE}.scales`]: blank('F16', 1, 300),
      [`${MODULE}.g_idx`]: blank('I32', 64),
    },
    /GPTQ/,
  ],
  AWQ: [
    { quant_method: 'awq', bits: 4, group_size: 64 },
    {
      ...plain,
      [`${MODULE}.qweight`]: blank('I32', 64, 38),
      [`${MODULE}.qzeros`]: blank('I32', 1, 38),
      [`${MODULE}.scales`]: blank('F16', 1, 300),
    },
    /AWQ/,
  ],
  'compressed-tensors, packed': [
    { quant_method: 'compressed-tensors', format: 'pack-quantized' },
    {
      ...plain,
      [`${MODULE}.weight_packed`]: blank('I32', 300, 8),
      [`${MODULE}.weight_scale`]: blank('BF16', 300, 1),
      [`${MODULE}.weight_shape`]: blank('I64', 2),
    },
    /compressed-tensors/,
  ],
  'compressed-tensors, integers': [
    { quant_method: 'compressed-tensors', format: 'int-quantized' },
    {
      [`${MODULE}.weight`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}.weight_scale`]: blank('BF16', 300, 1),
    },
    /compressed-tensors|config\.json does not name/,
  ],
  HQQ: [{ quant_method: 'hqq' }, { ...plain, [`${MODULE}.W_q`]: blank('U8', 100, 64) }, /HQQ/],
  EETQ: [
    { quant_method: 'eetq' },
    {
      [`${MODULE}.weight`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}.weight_scales`]: blank('F32', 300),
    },
    /EETQ/,
  ],
  Quanto: [
    { quant_method: 'quanto', weights: 'int8' },
    {
      ...plain,
      [`${MODULE}.weight._data`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}.weight._scale`]: blank('F32', 300),
    },
    /Quanto/,
  ],
  torchao: [
    { quant_method: 'torchao' },
    {
      ...plain,
      [`${MODULE}._weight_qdata`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}._weight_scale`]: blank('F32', 300),
    },
    /torchao/,
  ],
  'NVIDIA ModelOpt': [
    { quant_method: 'modelopt', quant_algo: 'NVFP4' },
    {
      [`${MODULE}.weight`]: blank('U8', 300, 32),
      [`${MODULE}.weight_scale`]: blank('F8_E4M3', 300, 4),
      [`${MODULE}.weight_scale_2`]: f32([], 1),
    },
    /ModelOpt/,
  ],
  BitNet: [
    { quant_method: 'bitnet' },
    { [`${MODULE}.weight`]: blank('U8', 75, 64), [`${MODULE}.weight_scale`]: blank('BF16', 1) },
    /BitNet|config\.json does not name/,
  ],
  AQLM: [{ quant_method: 'aqlm' }, { ...plain, [`${MODULE}.codebooks`]: blank('BF16', 4) }, /AQLM/],
  "'zip-zap'": [
    { quant_method: 'zip-zap' },
    { [`${MODULE}.weight`]: blank('U8', 300, 32) },
    /'zip-zap'|config\.json does not name/,
  ],
};

describe('weights quantized by a method that is not read', () => {
  test.each(Object.keys(SCHEMES))('%s: refused by its name, with what works instead', async (scheme) => {
    const [quantization_config, changed, unnamed] = SCHEMES[scheme]!;
    const open = async (more: JsonObject) => openCheckpoint(await folder(changed, more));
    const [first] = scheme.split(',');
    const instead = /float checkpoint .*GGUF.*mlx-lm/;
    await expectError(() => open({ quantization_config }), 'UNSUPPORTED_MODEL', first!, MODULE, instead);
    await expectError(() => open({}), 'UNSUPPORTED_MODEL', unnamed, MODULE, instead);
  });

  test('also in PyTorch files', async () => {
    const all = { ...tensors, [`${MODULE}.SCB`]: blank('F32', 4) };
    const set = files({ 'pytorch_model.bin': torchFile(all), 'config.json': json(config) });
    await expectError(() => openCheckpoint(set), 'UNSUPPORTED_MODEL', /bitsandbytes/);
  });

  test('floats that a method would be applied to while they load are floats', async () => {
    const wanted = await loadedLogits(await folder({}), IDS);
    for (const quant_method of ['bitsandbytes', 'torchao', 'hqq', 'fp8'])
      expect(await loadedLogits(await folder({}, { quantization_config: { quant_method } }), IDS)).toEqual(
        wanted,
      );
    for (const quant_method of ['bitnet', 'gptq', 'x'])
      await expectError(
        async () => openCheckpoint(await folder({}, { quantization_config: { quant_method } })),
        'UNSUPPORTED_MODEL',
        /said by its config\.json/,
      );
  });

  test.each(['lora_A.weight', 'weight.zero', 'input_scale', 'anything'])(
    'a tensor beside a weight, %s, is never passed over',
    async (stray) => {
      const set = await folder({ [`${MODULE}.${stray}`]: blank('F32', 4) });
      await expectError(() => loadedLogits(set, IDS), 'UNSUPPORTED_MODEL', `${MODULE}.${stray}`);
    },
  );

  test('a tensor that belongs to no weight does no harm', async () => {
    const set = await folder({ 'model.layers.1.self_attn.rotary_emb.inv_freq': blank('F32', 8) });
    expect(await loadedLogits(set, IDS)).toEqual(await loadedLogits(await folder({}), IDS));
  });
});
