import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';

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

/** What imports each other, directly or through others: the files of each circle. */
export function circlesOf(edges: readonly [from: string, to: string][]): string[][] {
  const targets = new Map<string, string[]>();
  for (const [from, to] of edges) targets.set(from, [...(targets.get(from) ?? []), to]);
  const reached = new Map<string, Set<string>>();
  for (const start of targets.keys()) {
    const seen = new Set<string>();
    const queue = [start];
    for (let from = queue.pop(); from !== undefined; from = queue.pop())
      for (const to of targets.get(from) ?? [])
        if (!seen.has(to)) {
          seen.add(to);
          queue.push(to);
        }
    reached.set(start, seen);
  }
  const leads = (from: string, to: string) => reached.get(from)?.has(to) ?? false;
  const inOne = [...targets.keys()].filter((path) => leads(path, path)).sort();
  const circles = inOne.map((path) => inOne.filter((other) => leads(path, other) && leads(other, path)));
  return circles.filter(([first], i) => first === inOne[i]);
}

interface Node {
  type: string;
  start: number;
  end: number;
  [field: string]: unknown;
}

/** Functions of more than `most` lines, and how many these have; not the callbacks of `describe`, which hold tests. */
export function longFunctions(path: string, text: string, most: number): { name: string; lines: number }[] {
  const found: { name: string; lines: number }[] = [];
  const ends = [...text.matchAll(/\n/g)].map(({ index }) => index);
  if (ends.length < most) return found;
  const linesOf = ({ start, end }: Node) => 1 + ends.filter((at) => at >= start && at < end).length;
  const visit = (value: unknown, parent: Node | null): void => {
    if (Array.isArray(value)) for (const item of value) visit(item, parent);
    if (typeof (value as Node | null)?.type !== 'string') return;
    const node = value as Node;
    const lines = linesOf(node);
    if (lines <= most) return; // and so is all within
    if (/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) {
      const { callee } = (parent ?? {}) as { callee?: Node };
      const called = callee ? text.slice(callee.start, callee.end) : '';
      const { name } = (node.id ?? parent?.id ?? parent?.key ?? {}) as { name?: string };
      if (!/^describe\b/.test(called)) found.push({ name: name ?? called, lines });
    }
    for (const inner of Object.values(node)) visit(inner, node);
  };
  visit(parseSync(path, text).program, null);
  return found;
}
