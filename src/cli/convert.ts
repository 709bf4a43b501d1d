import { findArchitecture } from '../../models/index.ts';
import { readGenerationConfig } from '../engine/language/generation_config.ts';
import { EdgeError } from '../errors.ts';
import type { FileSet } from '../io/types.ts';
import { joinPath, makeFolder, writeFileAtomic } from '../runtime/node.ts';
import { exit, onInterrupt, print, printError } from '../runtime/terminal.node.ts';
import type { GroupSize, JsonObject, WeightFormat } from '../types.ts';
import { openCheckpoint } from '../weights/checkpoint.ts';
import { convertCheckpoint } from '../weights/convert.ts';
import { exportGguf } from '../weights/gguf_export.ts';
import type { ExportedModel } from '../weights/gguf_layouts.ts';
import { formatJson } from '../weights/json.ts';
import { weightFormats } from '../weights/plan.ts';
import { Q4, Q8 } from '../weights/quantize.ts';
import type { Checkpoint } from '../weights/types.ts';
import { type Command, modelOption, openModel } from './command.ts';
import { type Options, UsageError } from './options.ts';
import { bytes } from './report.ts';

const HOW = ['q4', 'q8', 'f16', 'none'] as const;
const SIDECARS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'chat_template.json',
  'generation_config.json',
];

export const convert: Command = {
  name: 'convert',
  usage: 'convert MODEL OUT [options]',
  help: 'write a model as safetensors into a folder, or as OUT.gguf for llama.cpp; quantized if asked for',
  options: ['model', 'quantize', 'group', 'offline'],
  about: { quantize: `${HOW.join(', ')} (the default: as it is); codes are quantized again` },
  run: async (options) => {
    const named = options.text('model') === undefined ? [] : [modelOption(options)];
    const [source, out, ...rest] = [...named, ...options.positionals];
    if (source === undefined || out === undefined || rest.length > 0)
      throw new UsageError(
        `Expected a model and where to write it, found ${options.positionals.length} arguments`,
      );
    const how = quantization(options);
    const files = await openModel(source, options);
    const checkpoint = await openCheckpoint(files);
    const controller = new AbortController();
    const { signal } = controller;
    const stopListening = onInterrupt(() => (signal.aborted ? exit(130) : controller.abort()));
    try {
      const blueprint = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
      const program = blueprint.program({ chunk: 64, maxContext: 4096 });
      const formats = chosenFormats(how, checkpoint, blueprint, program);
      let written = 0;
      const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          written += chunk.length;
          yield chunk;
        }
      };
      const onWarning = (message: string) => printError(`${message}\n`);
      const model = { ...blueprint, checkpoint, program, formats, onWarning };
      if (/\.gguf$/i.test(out)) await writeFileAtomic(out, counted(exportGguf(withTokenIds(model), signal)));
      else {
        await makeFolder(out);
        await writeFileAtomic(
          joinPath(out, 'model.safetensors'),
          counted(convertCheckpoint(checkpoint, matrixFormats(model), { signal })),
        );
        await writeSidecars(out, checkpoint, files);
      }
      if (options.flag('json')) return print(`${JSON.stringify({ out, bytes: written })}\n`);
      return print(`${out}: ${bytes(written)}\n`);
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new EdgeError('ABORTED', `Stopped by Ctrl-C: ${out} is as it was`);
    } finally {
      stopListening();
      await checkpoint.close();
    }
  },
};

/** The model with the bos and eos that generate takes. */
function withTokenIds(model: ExportedModel): ExportedModel {
  const { bosTokenId, eosTokenIds } = readGenerationConfig(model.checkpoint, model.program.vocabSize);
  return {
    ...model,
    bosTokenId: bosTokenId ?? model.bosTokenId,
    eosTokenIds: eosTokenIds ?? model.eosTokenIds,
  };
}

/** Formats by the tensors of the checkpoint. */
function matrixFormats({ formats, program, sources }: ExportedModel): Map<string, WeightFormat> {
  const matrices = Object.entries(formats).filter(([name]) => program.weights[name]!.role === 'linear');
  return new Map(matrices.map(([name, format]) => [sources[name]!.tensor, format]));
}

/** The files beside the weights: those of the model as they are, or what its one file holds of them. */
async function writeSidecars(out: string, checkpoint: Checkpoint, files: FileSet): Promise<void> {
  const { config, tokenizer, tokenizerConfig, generationConfig } = checkpoint;
  const text = (json: JsonObject) => `${formatJson(json)}\n`;
  const write = (file: string, content: string) =>
    writeFileAtomic(joinPath(out, file), [new TextEncoder().encode(content)]);
  await write('config.json', text(config));
  const inside: Record<string, string | null> = {
    'tokenizer.json': tokenizer,
    'tokenizer_config.json': tokenizerConfig && text(tokenizerConfig),
    'generation_config.json': generationConfig && text(generationConfig),
  };
  const listed = Array.isArray(tokenizerConfig?.chat_template); // all templates, wherever they lay
  for (const file of SIDECARS) {
    if (listed && file === 'chat_template.jinja') continue;
    const sidecar = listed && file === 'tokenizer_config.json' ? null : await files.open(file);
    if (sidecar) await writeFileAtomic(joinPath(out, file), [await sidecar.read(0, sidecar.size)]);
    else if (inside[file]) await write(file, inside[file]);
    await sidecar?.close();
  }
}

interface Quantization {
  how: (typeof HOW)[number];
  group: GroupSize | undefined;
}

function quantization(options: Options): Quantization {
  const how = options.text('quantize') ?? 'none';
  if (!HOW.includes(how as never)) throw new UsageError(`--quantize takes ${HOW.join(', ')}; found '${how}'`);
  const group = options.number('group');
  if (group !== undefined && ![32, 64, 128].includes(group))
    throw new UsageError(`--group takes 32, 64 or 128; found ${group}`);
  return { how, group } as Quantization;
}

/**
 * The form of each weight: matrices as --quantize says, from floats or from other codes (which is
 * reported); the rest as it is.
 */
function chosenFormats(
  { how, group }: Quantization,
  checkpoint: Parameters<typeof weightFormats>[0],
  { sources }: { sources: Parameters<typeof weightFormats>[1] },
  { weights }: { weights: Parameters<typeof weightFormats>[2] },
): Record<string, WeightFormat> {
  const { formats } = weightFormats(checkpoint, sources, weights, 'none');
  const codes = how === 'q4' ? Q4 : how === 'q8' ? Q8 : null;
  let again = 0;
  const chosen = (name: string, stored: WeightFormat): WeightFormat => {
    if (weights[name]!.role === 'vector' || how === 'none') return stored;
    if (stored.kind === 'quant') {
      if (stored.bits === codes?.bits && (group ?? stored.group) === stored.group) return stored;
      again++;
    }
    return codes ? { ...codes, group: group ?? codes.group } : { kind: 'float', dtype: 'f16' };
  };
  const all = Object.entries(formats).map(([name, stored]) => [name, chosen(name, stored)] as const);
  if (again > 0)
    printError(
      `edge-ssm: ${again} weights were quantized already: what that cost them stays lost. From floats ${how} is better\n`,
    );
  return Object.fromEntries(all);
}
