import { EdgeError, throwIfAborted } from '../errors.ts';
import { isPlainName } from '../io/range.ts';
import type { ByteSource, FileSet } from '../io/types.ts';
import type { JsonObject } from '../types.ts';
import { checkpoint, type Sidecars } from './assemble.ts';
import { readChatTemplates } from './chat_templates.ts';
import { containerConfig, storedTensors } from './container.ts';
import { isGguf, openGguf } from './gguf.ts';
import { refuseImpostor, refuseImpostorFile } from './impostor.ts';
import { CONFIG_LIMITS, decodeUtf8, isObject, parseJsonObject } from './json.ts';
import { MISTRAL_WEIGHTS, mistralConfig } from './mistral_params.ts';
import { isMlx, mlxTensors } from './mlx.ts';
import { mlxConfig } from './mlx_config.ts';
import { withPacked } from './packed.ts';
import { readQuantized } from './quantization.ts';
import { readSafetensorsHeader, type SafetensorsHeader } from './safetensors.ts';
import { isTorch, torchTensors } from './torch.ts';
import type { Checkpoint, StoredTensor } from './types.ts';

export const CHECKPOINT_LIMITS = {
  configBytes: CONFIG_LIMITS.bytes,
  templateBytes: 2 ** 20,
  tokenizerBytes: 128 * 2 ** 20,
  shards: 1024,
} as const;

/** Files of weights that a model's folder may have, the preferred first. */
const FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  MISTRAL_WEIGHTS,
] as const;
const PYTORCH = /\.(bin|pt|pth)$/i;
const ENDINGS = [/\.safetensors$/i, /\.gguf$/i, PYTORCH];

/**
 * Opens the checkpoint in a set of files: config, tensor table and tokenizer are read and checked, weights are not.
 * @throws NOT_FOUND where no checkpoint is among the files, INVALID_FILE, NETWORK, UNSUPPORTED_MODEL, ABORTED
 */
export async function openCheckpoint(
  files: FileSet,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Checkpoint> {
  throwIfAborted(signal);
  const opened: ByteSource[] = [];
  try {
    const first = await findWeights(files, signal);
    opened.push(first.source);
    await refuseImpostorFile(first.source, signal);
    if (await isGguf(first.source, signal))
      return await openGguf(first.source, await readSidecars(files, signal), signal);
    const header = await headerOf(first, signal);
    const sidecars = await readSidecars(
      header ? withPacked(files, first.source.name, header) : files,
      signal,
    );
    return await openShards(files, { ...first, header }, sidecars, opened, signal);
  } catch (error) {
    await Promise.all(opened.map((source) => source.close().catch(() => {})));
    throw error;
  }
}

interface Found {
  file: string;
  source: ByteSource;
}

/** The file that was pointed at if it holds weights, else the one that a model's folder has. */
async function findWeights(files: FileSet, signal: AbortSignal | undefined): Promise<Found> {
  const { main } = files;
  if (main !== undefined && (main.endsWith('.index.json') || !main.endsWith('.json'))) {
    const source = await files.open(main, signal);
    if (!source)
      throw new EdgeError(
        'NOT_FOUND',
        `${files.name}: there is no such file${files.note ? `: ${files.note}` : ''}`,
      );
    return { file: main, source };
  }
  for (const file of FILES) {
    const source = await files.open(file, signal);
    if (source) return { file, source };
  }
  const names = (await files.list()) ?? [];
  for (const ending of ENDINGS) {
    const candidates = names.filter((name) => ending.test(name));
    const [file] = candidates;
    if (candidates.length > 1)
      throw new EdgeError(
        'INVALID_FILE',
        `${files.name}: expected one file of weights, found ${candidates.slice(0, 4).join(', ')}; ` +
          'give the path of the one that is meant',
      );
    const source = file === undefined ? null : await files.open(file, signal);
    if (file !== undefined && source) return { file, source };
  }
  throw new EdgeError(
    'NOT_FOUND',
    `${files.name}: found neither '${FILES[0]}' nor '${FILES[1]}' nor '${FILES[2]}'${names.length > 0 ? ` among ${names.slice(0, 8).join(', ')}` : ''}; ` +
      (files.note ??
        "expected the folder of a model, or one of its files; models of the hub are 'hf:organization/name'"),
  );
}

/** The header of a safetensors file; null of an index, and of what PyTorch saved. */
async function headerOf(
  { file, source }: Found,
  signal: AbortSignal | undefined,
): Promise<SafetensorsHeader | null> {
  if (file.endsWith('.index.json') || PYTORCH.test(source.name) || (await isTorch(source, signal)))
    return null;
  return readSafetensorsHeader(source, signal);
}

async function readSidecars(files: FileSet, signal: AbortSignal | undefined): Promise<Sidecars> {
  const json = async (from: FileSet, file: string) => {
    const bytes = await readSmall(from, file, CHECKPOINT_LIMITS.configBytes, signal);
    return bytes && parseJsonObject(`${from.name}: ${file}`, bytes);
  };
  const text = async (from: FileSet, file: string, limit: number) => {
    const bytes = await readSmall(from, file, limit, signal);
    return bytes && decodeUtf8(`${from.name}: ${file}`, bytes);
  };
  const tokenizerJson = json(files, 'tokenizer_config.json');
  const [config, tokenizer, tokenizerConfig, templates, generationConfig] = await Promise.all([
    json(files, 'config.json'),
    text(files, 'tokenizer.json', CHECKPOINT_LIMITS.tokenizerBytes),
    tokenizerJson,
    tokenizerJson.then((config) =>
      readChatTemplates(files, config, {
        json,
        text: (from, file) => text(from, file, CHECKPOINT_LIMITS.templateBytes),
      }),
    ),
    json(files, 'generation_config.json'),
  ]);
  return {
    config,
    tokenizer,
    tokenizerConfig:
      templates === undefined ? tokenizerConfig : { ...tokenizerConfig, chat_template: templates },
    generationConfig,
  };
}

async function readSmall(
  files: FileSet,
  file: string,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | null> {
  const source = await files.open(file, signal);
  if (!source) return null;
  try {
    if (source.size > limit)
      throw new EdgeError(
        'INVALID_FILE',
        `${source.name} has ${source.size} bytes; at most ${limit} are read`,
      );
    const bytes = await source.read(0, source.size, signal);
    refuseImpostor(source.name, bytes);
    return bytes;
  } finally {
    await source.close();
  }
}

/** One file of tensors, or the files that an index names: safetensors or PyTorch's. */
async function openShards(
  files: FileSet,
  first: Found & { header: SafetensorsHeader | null },
  sidecars: Sidecars,
  opened: ByteSource[],
  signal: AbortSignal | undefined,
): Promise<Checkpoint> {
  const tensors = new Map<string, StoredTensor>();
  let metadata: Record<string, string> = {};
  let config = sidecars.config;
  let container: Checkpoint['container'] = 'safetensors';
  let own = false; // a file says itself how its weights are quantized
  const add = async (source: ByteSource, known: SafetensorsHeader | null) => {
    let found: ReadonlyMap<string, StoredTensor>;
    if (!known && (await isTorch(source, signal))) {
      container = 'pytorch';
      found = await torchTensors(source, signal);
    } else {
      if (PYTORCH.test(source.name)) throw notZip(source.name);
      const header = known ?? (await readSafetensorsHeader(source, signal));
      metadata = { ...header.metadata, ...metadata };
      if (isMlx(header)) {
        const mlx = mlxConfig(source.name, header); // a config.json beside such a file is of another library
        config = mlx.config;
        own = true;
        found = mlxTensors(source, header, mlx.group);
      } else {
        const inside = containerConfig(source.name, header);
        config ??= inside;
        own ||= inside !== null;
        found = storedTensors(source, header);
      }
    }
    for (const [name, tensor] of found) {
      const other = tensors.get(name);
      if (other)
        throw new EdgeError('INVALID_FILE', `Tensor '${name}' is in both ${other.file} and ${source.name}`);
      tensors.set(name, tensor);
    }
  };
  if (first.file.endsWith('.index.json')) {
    const index = await readIndex(first.source, signal);
    for (const file of new Set(index.values())) {
      const shard = await files.open(file, signal);
      if (!shard)
        throw new EdgeError('NOT_FOUND', `${files.name}: '${first.file}' names '${file}', which is missing`);
      opened.push(shard);
      await refuseImpostorFile(shard, signal);
      await add(shard, null);
    }
    for (const [tensor, file] of index)
      if (!tensors.has(tensor) && !/\.(scales|biases)$/.test(tensor))
        throw new EdgeError(
          'INVALID_FILE',
          `${files.name}: '${first.file}' says that '${file}' holds '${tensor}'; it does not`,
        );
  } else await add(first.source, first.header);
  config ??= await readParams(files, signal);
  if (!config)
    throw new EdgeError(
      'NOT_FOUND',
      `${files.name}: found weights in '${first.file}', but neither a config.json beside them nor a config inside; give both`,
    );
  const plain = own ? { config, tensors } : readQuantized(files.name, config, tensors);
  return checkpoint(container, files.name, plain.config, plain.tensors, metadata, sidecars, opened);
}

/** The config of a model in Mistral's own layout. */
async function readParams(files: FileSet, signal: AbortSignal | undefined): Promise<JsonObject | null> {
  const bytes = await readSmall(files, 'params.json', CHECKPOINT_LIMITS.configBytes, signal);
  const file = `${files.name}: params.json`;
  return bytes && mistralConfig(file, parseJsonObject(file, bytes));
}

function notZip(file: string): EdgeError {
  return new EdgeError(
    'INVALID_FILE',
    `${file}: expected a ZIP archive, as torch.save writes since PyTorch 1.6; save it again with a later version`,
  );
}

/** Shards by tensor. */
async function readIndex(source: ByteSource, signal: AbortSignal | undefined): Promise<Map<string, string>> {
  if (source.size > CHECKPOINT_LIMITS.configBytes)
    throw new EdgeError(
      'INVALID_FILE',
      `${source.name} has ${source.size} bytes; at most ${CHECKPOINT_LIMITS.configBytes} are read`,
    );
  const { weight_map: map } = parseJsonObject(source.name, await source.read(0, source.size, signal));
  const entries = isObject(map) ? Object.entries(map) : [];
  if (entries.length === 0)
    throw new EdgeError('INVALID_FILE', `${source.name}: expected 'weight_map' to give each tensor's file`);
  for (const [tensor, file] of entries)
    if (typeof file !== 'string' || !isPlainName(file) || !/\.(safetensors|bin)$/.test(file))
      throw new EdgeError(
        'INVALID_FILE',
        `${source.name}: '${tensor.slice(0, 100)}' is said to be in ${JSON.stringify(file).slice(0, 100)}; ` +
          'expected the name of a .safetensors or .bin file in the same folder',
      );
  const shards = new Set(entries.map(([, file]) => file)).size;
  if (shards > CHECKPOINT_LIMITS.shards)
    throw new EdgeError(
      'INVALID_FILE',
      `${source.name}: ${shards} shards; at most ${CHECKPOINT_LIMITS.shards} are read`,
    );
  return new Map(entries as [string, string][]);
}
