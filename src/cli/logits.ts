import { print } from '../runtime/terminal.node.ts';
import { requirePlace, writeFileAtomic } from '../runtime/write_file.node.ts';
import { type Command, MODEL_OPTIONS, modelArgument, withModel } from './command.ts';
import { UsageError } from './options.ts';
import { promptOption } from './text.ts';

export const logits: Command = {
  name: 'logits',
  usage: 'logits [MODEL] --ids 1,2,3 --out FILE [options]',
  help: 'writes ids and logits into a safetensors file',
  options: [...MODEL_OPTIONS, 'ids', 'text', 'text-file', 'last', 'out'],
  about: { out: 'the safetensors file to write' },
  run: async (options) => {
    const source = modelArgument(options);
    const out = options.text('out');
    if (out === undefined) throw new UsageError('logits takes --out FILE');
    const prompt = await promptOption(options);
    await requirePlace(out);
    const last = options.number('last');
    if (last !== undefined && !(Number.isInteger(last) && last >= 1))
      throw new UsageError(`--last takes an integer of at least 1, found ${last}`);
    await withModel(source, options, async (model) => {
      const ids =
        typeof prompt === 'string'
          ? await model.tokenizer.encode(prompt, { addSpecialTokens: true })
          : Int32Array.from(prompt);
      const values = await model.logits(ids, last === undefined ? {} : { last });
      const rows = values.length / model.info.vocabSize;
      await writeFileAtomic(out, safetensors(ids, values, [rows, model.info.vocabSize]));
      const result = { out, ids: ids.length, shape: [rows, model.info.vocabSize] };
      await print(
        options.flag('json')
          ? `${JSON.stringify(result)}\n`
          : `${out}: logits [${result.shape.join(', ')}] of ${ids.length} ids\n`,
      );
    });
  },
};

/** A file with `ids` I32 [n] and `logits` F32 [rows, vocab]; both little-endian, as are the machines that run this. */
function safetensors(ids: Int32Array, values: Float32Array, shape: [number, number]): Uint8Array[] {
  const split = ids.byteLength;
  const header = JSON.stringify({
    ids: { dtype: 'I32', shape: [ids.length], data_offsets: [0, split] },
    logits: { dtype: 'F32', shape, data_offsets: [split, split + values.byteLength] },
  });
  const text = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(text.length), true);
  return [new Uint8Array(length.buffer), text, asBytes(ids), asBytes(values)];
}

function asBytes(array: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
