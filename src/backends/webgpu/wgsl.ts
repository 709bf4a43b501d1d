import { EdgeError } from '../../errors.ts';
import type { KernelSettings, Range } from '../gpu/launch.ts';

/** WGSL, and the variables that its bindings of group 0 are, by index. */
export interface Linked {
  code: string;
  bindings: readonly Binding[];
}

export interface Binding {
  name: string;
  writes: boolean;
}

/** Which of `slices` lie in the same range, and how long they are: all that `link` wants to know of them. */
export function aliases(slices: Record<string, Range>): string {
  const all = Object.entries(slices);
  return all
    .map(([name, slice]) => `${name}=${all.findIndex(([, other]) => sameRange(other, slice))}:${slice.size}`)
    .join();
}

/**
 * Puts shader sources together: `#if NAME`, `#if !NAME`, `#else` and `#endif` lines choose among lines, constants
 * become a header, `#repeat` lines are unrolled, and bindings are numbered. WebGPU does not bind a buffer for reading
 * and writing in one launch: variables that lie in the same range become one. Arrays of numbers get their length: the
 * checks of indices that compilers put in need not ask for it before every read.
 */
export function link(
  sources: readonly string[],
  settings: KernelSettings,
  slices: Record<string, Range>,
): Linked {
  const { flags = {}, constants = {}, floats = {}, tables = {} } = settings;
  let code = sources.map((source) => repeat(preprocess(source, flags), constants)).join('\n');
  const kept: Binding[] = [];
  for (const [declaration, , access, name] of code.matchAll(DECLARATION)) {
    if (code.match(new RegExp(`\\b${name}\\b`, 'g'))!.length === 1) {
      code = code.replace(declaration, ''); // nothing uses it
      continue;
    }
    const slice = slices[name!];
    if (!slice) throw fault(`nothing is bound to '${name}'`);
    const writes = access === 'read_write';
    const twin = kept.find((other) => sameRange(slices[other.name]!, slice));
    if (!twin || !(twin.writes || writes)) {
      kept.push({ name: name!, writes });
      continue;
    }
    // The one that is written stays.
    const goes = writes ? twin.name : name!;
    Object.assign(twin, { name: writes ? name! : twin.name, writes: true });
    code = code.replace(declarationOf(code, goes), '').replace(new RegExp(`\\b${goes}\\b`, 'g'), twin.name);
  }
  kept.forEach(({ name }, index) => {
    const declaration = declarationOf(code, name);
    const numbered = declaration.replace(/@binding\(\d+\)/, `@binding(${index})`);
    code = code.replace(declaration, withLength(numbered, slices[name]!.size));
  });
  const header = [
    ...(flags.SUBGROUPS ? ['enable subgroups;'] : []),
    ...(flags.F16 ? ['enable f16;'] : []),
    ...(flags.MATRICES ? ['enable chromium_experimental_subgroup_matrix;'] : []),
    ...(flags.PACKED ? ['requires packed_4x8_integer_dot_product;'] : []),
    ...Object.entries(constants).map(([name, value]) => `const ${name} = ${u32(name, value)};`),
    ...Object.entries(floats).map(([name, value]) => `const ${name} = ${f32(value)};`),
    ...Object.entries(tables).map(([name, values]) => table(name, values)),
  ];
  return { code: `${header.join('\n')}\n${code}`, bindings: kept };
}

const DECLARATION = /@group\(0\) @binding\((\d+)\) var<storage, (read|read_write)> (\w+): .*;.*\n/g;

function declarationOf(code: string, name: string): string {
  for (const [declaration, , , found] of code.matchAll(DECLARATION)) if (found === name) return declaration;
  throw fault(`no binding '${name}'`);
}

function withLength(declaration: string, bytes: number): string {
  return declaration.replace(
    /array<((?:vec(\d)<)?[fu]32>?)>/,
    (_, element: string, lanes: string | undefined) =>
      `array<${element}, ${Math.floor(bytes / (4 * Number(lanes ?? 1)))}>`,
  );
}

function sameRange(a: Range, b: Range): boolean {
  return a.buffer === b.buffer && a.offset === b.offset;
}

/** Lines between `#repeat NAME` and `#end`, as often as the constant says, `$i` counting: compilers may not unroll. */
function repeat(source: string, constants: Readonly<Record<string, number>>): string {
  return source.replace(/^#repeat (\w+)\n([\s\S]*?)^#end\n/gm, (_, name: string, lines: string) => {
    const count = constants[name];
    if (count === undefined) throw fault(`#repeat ${name}, which is no constant`);
    return Array.from({ length: count }, (_, i) => lines.replaceAll('$i', `${i}u`)).join('');
  });
}

/** The lines that the flags choose. */
function preprocess(source: string, flags: Readonly<Record<string, boolean>>): string {
  const lines: string[] = [];
  const taken: boolean[] = []; // of the open #ifs
  for (const line of source.split('\n')) {
    const [, directive, negated, name] = line.match(/^#(if|else|endif)(?: (!?)(\w+))?$/) ?? [];
    if (directive === 'if') taken.push(negated ? !flags[name!] : Boolean(flags[name!]));
    else if (directive === 'else') taken.push(!taken.pop());
    else if (directive === 'endif') taken.pop();
    else if (taken.every(Boolean)) lines.push(line);
  }
  if (taken.length > 0) throw fault('an #if without #endif');
  return lines.join('\n');
}

function u32(name: string, value: number): string {
  if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 32)) throw fault(`${name} = ${value}`);
  return `${value}u`;
}

/** A private variable, not a constant: naga indexes no constants. */
function table(name: string, values: readonly number[]): string {
  return `var<private> ${name} = array<f32, ${values.length}>(${values.map(f32).join(', ')});`;
}

/** Nine digits tell every f32. */
function f32(value: number): string {
  return `${Math.fround(value).toPrecision(9)}f`;
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WebGPU shader: ${message}`);
}
