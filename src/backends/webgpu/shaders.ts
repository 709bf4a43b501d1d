import type { KernelName } from '../gpu/kernels.ts';
import { kernelFiles, libFiles } from './wgsl_files.ts';

const files: Readonly<Record<string, string>> = { ...libFiles, ...kernelFiles };
const INCLUDE = /^#include (.*)\n/gm;

/** A file after those that its `#include` lines name, each once. */
function included(name: string, seen = new Set<string>()): string[] {
  if (seen.has(name)) return [];
  seen.add(name);
  const source = files[name]!;
  const names = [...source.matchAll(INCLUDE)].flatMap(([, list]) => list!.split(' '));
  return [...names.flatMap((other) => included(other, seen)), source.replace(INCLUDE, '')];
}

/** The sources of each kernel. */
export const shaders = Object.fromEntries(
  Object.keys(kernelFiles).map((name) => [name, included(name)]),
) as Record<keyof typeof kernelFiles, string[]> satisfies Record<KernelName, string[]>;
