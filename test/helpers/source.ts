import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Files under folders of the project, by path from its root; absent folders have none. */
export function filesUnder(folders: readonly string[], ending: string): string[] {
  const list = (folder: string): string[] => {
    try {
      return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
        .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
    } catch {
      return [];
    }
  };
  return folders
    .flatMap(list)
    .filter((path) => !path.includes('node_modules'))
    .sort();
}

export function source(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Comments, and the insides of strings and templates, replaced by nothing. */
export function codeOf(text: string): string {
  return text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g,
    (match) => (match.startsWith('/') ? '' : "''"),
  );
}

/** Every module that a file imports, statically or not, as a path from the root where it is the project's own. */
export function importsOf(path: string, text: string): string[] {
  const bare = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/[^\n]*/gm, '');
  const pattern = /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)['"]([^'"\n]+)['"]/g;
  return [...bare.matchAll(pattern)].map(([, specifier]) =>
    specifier!.startsWith('.') ? join(dirname(path), specifier!) : specifier!,
  );
}
