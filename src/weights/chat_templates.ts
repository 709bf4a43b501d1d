import type { FileSet } from '../io/types.ts';
import type { JsonObject, JsonValue } from '../types.ts';

/** Reads a file of text or JSON that may be missing; null then. */
export interface SmallFiles {
  text(files: FileSet, file: string): Promise<string | null>;
  json(files: FileSet, file: string): Promise<JsonObject | null>;
}

/** Templates beside the default one, a file each, where transformers puts them. */
const FOLDER = 'additional_chat_templates';
const SUFFIX = '.jinja';
const DEFAULT = `chat_template${SUFFIX}`;

/**
 * A model's chat templates, as `chat_template` of tokenizer_config.json holds them: a text, or a list with names. Files
 * come before what the config holds; `chat_template.json` is what processors had before. Undefined: there are none.
 */
export async function readChatTemplates(
  files: FileSet,
  config: JsonObject | null,
  read: SmallFiles,
): Promise<JsonValue | undefined> {
  const [main, additional] = await Promise.all([read.text(files, DEFAULT), readAdditional(files, read)]);
  const own = main ?? config?.chat_template ?? (await read.json(files, 'chat_template.json'))?.chat_template;
  if (additional.length === 0) return own ?? undefined;
  const named = typeof own === 'string' ? [{ name: 'default', template: own }] : (own ?? []);
  return [...additional, ...(Array.isArray(named) ? named : [named])];
}

/** Those of a folder, or of a list of files, where all of them lie beside each other. */
async function readAdditional(files: FileSet, read: SmallFiles): Promise<JsonObject[]> {
  const from = files.folder ? files.folder(FOLDER) : files;
  const names = ((await from.list()) ?? []).filter((file) => file.endsWith(SUFFIX) && file !== DEFAULT);
  return Promise.all(
    names.map(async (file) => ({
      name: file.slice(0, -SUFFIX.length),
      template: (await read.text(from, file)) ?? '',
    })),
  );
}
