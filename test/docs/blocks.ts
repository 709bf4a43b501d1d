/** Code blocks of README and docs, and how each is run. */
import { readdirSync } from 'node:fs';
import { ROOT, source } from '../helpers/source.ts';

export interface Block {
  file: string;
  line: number; // of its first line of code, from 1
  language: string;
  code: string;
  comment: string | null; // of HTML, right before it
}

export const DOCUMENTS: readonly string[] = [
  'README.md',
  ...readdirSync(`${ROOT}docs`)
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`),
];

/** All blocks between fences, in order. */
export function blocksOf(file: string, text = source(file)): Block[] {
  const found: Block[] = [];
  for (const match of text.matchAll(/^(?:<!-- (.+) -->\n+)?```(\w*)\n([\s\S]*?)^```$/gm)) {
    const [whole, comment = null, language, code] = match;
    const before = text.slice(0, match.index + whole.indexOf('```')).split('\n').length;
    found.push({ file, line: before + 1, language: language!, code: code!, comment });
  }
  return found;
}

export type Way = 'program' | 'shell' | 'output' | 'not run';

const COMMAND = /^(npx edge-ssm|edge-ssm|npm start|npx esbuild|cp)\b/;

/** How a block is run; null where there is no way. */
export function wayOf({ language, code, comment }: Block): Way | null {
  if (comment?.startsWith('not run: ')) return 'not run';
  if (comment?.startsWith('printed by: ')) return 'output';
  if (language === 'ts' || language === 'js') return 'program';
  const lines = code.split('\n').filter((line) => line.trim() !== '');
  const shell = (language === '' || language === 'sh') && lines.every((line) => COMMAND.test(line));
  return shell ? 'shell' : null;
}
