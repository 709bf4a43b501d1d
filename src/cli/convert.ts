import { findArchitecture } from '../../models/index.ts';
import { openFileSet } from '../io/fileset.ts';
import { joinPath, makeFolder, writeFileAtomic } from '../runtime/node.ts';
import { print } from '../runtime/terminal.node.ts';
import type { GroupSize, WeightFormat } from '../types.ts';
import { openCheckpoint } from '../weights/checkpoint.ts';
import { convertCheckpoint } from '../weights/convert.ts';
import { exportGguf } from '../weights/gguf_export.ts';
import { weightFormats } from '../weights/plan.ts';
import type { Command } from './command.ts';
import { type Options, UsageError } from './options.ts';
import { bytes } from './report.ts';

const HOW = ['q4', 'q8', 'f16', 'none'] as const;
const SIDECARS = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'generation_config.json'];

export const convert: Command = {
  name: 'convert',
  usage: 'convert MODEL OUT [options]',
  help: 'write a model as safetensors into a folder, or as OUT.gguf for llama.cpp; quantized if asked for',
  options: ['quantize', 'group', 'offline'],
  run: async (options) => {
    const [source, out, ...rest] = options.positionals;
    if (source === undefined || out === undefined || rest.length > 0)
      throw new UsageError(
        `Expected a model and where to write it, found ${options.positionals.length} arguments`,
      );
    const { download } = options.loading();
    const files = await openFileSet(source, download);
    const checkpoint = await openCheckpoint(files);
    try {
      const blueprint = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
      const program = blueprint.program({ chunk: 64, maxContext: 4096 });
      const formats = chosenFormats(options, checkpoint, blueprint, program);
      let written = 0;
      const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          written += chunk.length;
          yield chunk;
        }
      };
      if (/\.gguf$/i.test(out)) {
        await writeFileAtomic(out, counted(exportGguf({ ...blueprint, checkpoint, program, formats })));
      } else {
        const tensors = new Map(
          Object.entries(formats)
            .filter(([name]) => program.weights[name]!.role === 'linear')
            .map(([name, format]) => [blueprint.sources[name]!.tensor, format]),
        );
        await makeFolder(out);
        await writeFileAtomic(
          joinPath(out, 'model.safetensors'),
          counted(convertCheckpoint(checkpoint, tensors)),
        );
        const config = new TextEncoder().encode(`${JSON.stringify(checkpoint.config, null, 1)}\n`);
        await writeFileAtomic(joinPath(out, 'config.json'), [config]);
        const { tokenizer, tokenizerConfig } = checkpoint; // of a GGUF file
        const inside: Record<string, string | null> = {
          'tokenizer.json': tokenizer,
          'tokenizer_config.json': tokenizerConfig && JSON.stringify(tokenizerConfig, null, 1),
        };
        for (const file of SIDECARS) {
          const sidecar = await files.open(file);
          if (sidecar) await writeFileAtomic(joinPath(out, file), [await sidecar.read(0, sidecar.size)]);
          else if (inside[file])
            await writeFileAtomic(joinPath(out, file), [new TextEncoder().encode(inside[file])]);
          await sidecar?.close();
        }
      }
      if (options.flag('json')) return print(`${JSON.stringify({ out, bytes: written })}\n`);
      return print(`${out}: ${bytes(written)}\n`);
    } finally {
      await checkpoint.close();
    }
  },
};

/** What each weight becomes: matrices of floats as --quantize says, all else as it is. */
function chosenFormats(
  options: Options,
  checkpoint: Parameters<typeof weightFormats>[0],
  { sources }: { sources: Parameters<typeof weightFormats>[1] },
  { weights }: { weights: Parameters<typeof weightFormats>[2] },
): Record<string, WeightFormat> {
  const how = options.text('quantize') ?? 'none';
  if (!HOW.includes(how as never)) throw new UsageError(`--quantize takes ${HOW.join(', ')}; found '${how}'`);
  const group = options.number('group') ?? 32;
  if (![32, 64, 128].includes(group)) throw new UsageError(`--group takes 32, 64 or 128; found ${group}`);
  const quantize = how === 'q4' || how === 'q8' ? how : 'none';
  const { formats } = weightFormats(checkpoint, sources, weights, quantize);
  return Object.fromEntries(
    Object.entries(formats).map(([name, format]): [string, WeightFormat] => {
      const stored = checkpoint.tensors.get(sources[name]!.tensor)!.format;
      if (weights[name]!.role === 'vector' || stored?.kind === 'quant') return [name, format];
      if (format.kind === 'quant') return [name, { ...format, group: group as GroupSize }];
      return [name, how === 'f16' ? { kind: 'float', dtype: 'f16' } : format];
    }),
  );
}
