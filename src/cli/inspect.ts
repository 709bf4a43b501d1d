import { EdgeError } from '../errors.ts';
import type { ByteSource, FileSet } from '../io/types.ts';
import { print } from '../runtime/terminal.node.ts';
import type { JsonValue } from '../types.ts';
import { type Inspection, inspectFile } from '../weights/inspect.ts';
import { CONFIG_LIMITS, parseJsonObject } from '../weights/json.ts';
import { type Declared, declaredQuantization } from '../weights/quantization.ts';
import { elementCount } from '../weights/shape.ts';
import { type Command, modelArgument, openModel } from './command.ts';
import { bytes, count } from './report.ts';

const WEIGHTS = /\.(safetensors|gguf|bin|pt|pth)$/i;
const NAMED = ['model.safetensors', 'pytorch_model.bin']; // where files can't be listed
const WIDTH = 100; // characters of a value

export const inspect: Command = {
  name: 'inspect',
  usage: 'inspect [MODEL] [options]',
  help: 'tensors and metadata of files of weights, whatever they are of; reads their tables only',
  options: ['model', 'offline'],
  run: async (options) => {
    const files = await openModel(modelArgument(options), options);
    const found: Inspection[] = [];
    for (const file of await namesOf(files)) {
      const source = await files.open(file);
      if (source) found.push(await inspected(source));
    }
    if (found.length === 0)
      throw new EdgeError('NOT_FOUND', `${files.name}: ${files.note ?? 'found no file of weights'}`);
    const declared = found.some(({ container }) => container !== 'gguf') ? await quantizationOf(files) : null;
    const quantization = declared && `${declared.label}${declared.loads ? '' : ', which cannot be loaded'}`;
    if (options.flag('json'))
      return print(
        `${JSON.stringify(found.map((file) => ({ ...file, ...(quantization && { quantization }) })))}\n`,
      );
    if (quantization) await print(`config.json: quantized by ${quantization}\n`);
    for (const file of found) await print(describe(file));
  },
};

async function namesOf(files: FileSet): Promise<readonly string[]> {
  if (files.main !== undefined) return [files.main];
  const listed = await files.list();
  return listed ? listed.filter((name) => WEIGHTS.test(name)) : NAMED;
}

/** The quantization that a config.json beside the weights describes; null without one that can be read. */
async function quantizationOf(files: FileSet): Promise<Declared | null> {
  const source = await files.open('config.json');
  if (!source) return null;
  try {
    if (source.size > CONFIG_LIMITS.bytes) return null;
    return declaredQuantization(parseJsonObject(source.name, await source.read(0, source.size)));
  } catch (error) {
    if (error instanceof EdgeError && error.code === 'INVALID_FILE') return null;
    throw error;
  } finally {
    await source.close();
  }
}

async function inspected(source: ByteSource): Promise<Inspection> {
  try {
    return await inspectFile(source);
  } finally {
    await source.close();
  }
}

function describe({ file, container, bytes: size, metadata, tensors }: Inspection): string {
  const values = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const lines = [
    `${file}: ${container}, ${bytes(size)}, ${tensors.length} tensors of ${count(values)} values`,
  ];
  for (const [key, value] of Object.entries(metadata)) lines.push(`  ${key} = ${show(value)}`);
  const wide = (of: (tensor: Inspection['tensors'][number]) => string) =>
    Math.max(0, ...tensors.map((tensor) => of(tensor).length));
  const shape = (tensor: Inspection['tensors'][number]) => `[${tensor.shape.join(', ')}]`;
  const [name, dtype, dims] = [wide((t) => t.name), wide((t) => t.dtype), wide(shape)];
  for (const tensor of tensors)
    lines.push(
      `  ${tensor.name.padEnd(name)}  ${tensor.dtype.padEnd(dtype)}  ${shape(tensor).padEnd(dims)}  ${bytes(tensor.bytes)}`,
    );
  return `${lines.join('\n')}\n`;
}

/** On one line, without what would move the cursor. */
function show(value: JsonValue): string {
  const text = Array.isArray(value)
    ? `${value.length} of ${JSON.stringify(value.slice(0, 4))}`
    : JSON.stringify(value);
  return text.length > WIDTH ? `${text.slice(0, WIDTH)}…` : text;
}
