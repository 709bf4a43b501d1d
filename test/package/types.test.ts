import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { INSTALLED, runCommand } from './context.ts';

const TYPES = join(INSTALLED, 'dist/types');
const read = (file: string) => readFileSync(join(TYPES, file), 'utf8');
const files = readdirSync(TYPES, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.d.ts'))
  .map((file) => file.replaceAll('\\', '/'))
  .sort();

/** Exported declarations of a file of tsc's, by name. */
function declared(text: string): string[] {
  return [
    ...text.matchAll(/^export (?:declare )?(?:type|interface|class|function|const) (\w+)(?=[<( ]|\b)/gm),
  ].map(([, name]) => name!);
}

/** Lines of declarations and their members that no doc comment stands before. tsc indents by four spaces. */
function undocumented(text: string): string[] {
  const lines = text.replace(/\n*$/, '').split('\n');
  return lines.filter((line, i) => {
    const declares = /^export (declare |type \w+[^{]*=|interface )/.test(line) || /^\s+[\w$[]/.test(line);
    const exempt = /^\s+(private constructor\(|#private;)/.test(line);
    return declares && !exempt && !/\*\/\s*$/.test(lines[i - 1] ?? '') && !inComment(lines, i);
  });
}

function inComment(lines: readonly string[], i: number): boolean {
  const before = lines.slice(0, i + 1).join('\n');
  return before.lastIndexOf('/*') > before.lastIndexOf('*/');
}

describe('the types that are shipped', () => {
  test('are those of the public API alone', () => {
    const own = ['abortable', 'device', 'generate', 'index', 'info', 'load', 'prompt', 'session'];
    expect(files).toEqual(
      [
        ...own.map((name) => `src/api/types/${name}.d.ts`),
        ...['generation', 'load', 'model', 'session'].map((name) => `src/api/${name}.d.ts`),
        ...['src/errors.d.ts', 'src/index.d.ts', 'worker.d.ts'],
      ].sort(),
    );
    const named = [...read('src/index.d.ts').matchAll(/\b(\w+)(?=,? \}|,)/g)].map(([, name]) => name);
    const others = files.filter((file) => !file.startsWith('src/api/types/'));
    expect(others.flatMap((file) => declared(read(file))).filter((name) => !named.includes(name))).toEqual(
      [],
    );
    expect(files.flatMap((file) => declared(read(file))).length).toBeGreaterThan(40);
    expect(files.filter((file) => read(file).includes("'reference'"))).toEqual([]);
  });

  test('say of every member what it is', () => {
    const sample = `/** A. */\nexport interface A {\n    a: number;\n    /** B. */\n    b: {\n        c?: string;\n    };\n}`;
    expect(undocumented(sample)).toEqual(['    a: number;', '        c?: string;']);
    expect(undocumented('export declare class A {\n    #private;\n    b(): void;\n}')).toEqual([
      'export declare class A {',
      '    b(): void;',
    ]);
    const faults = files.flatMap((file) => undocumented(read(file)).map((line) => `${file}: ${line.trim()}`));
    expect(faults).toEqual([]);
  });

  test('are those of docs/api.md', async () => {
    const script = fileURLToPath(new URL('../../scripts/api-reference.mjs', import.meta.url));
    await runCommand([process.execPath, script, '--check', TYPES]); // else: npm run docs
  });
});
