import { EdgeError } from '../../errors.ts';
import { MODULE_BYTES } from './memory.ts';

/** Exports of the modules; see wasm/step.c and wasm/team.c. */
export interface Kernels {
  // Addresses are those of addressOf (memory.ts), whatever the width of the module's own pointers.
  /** Runs a step; 0, or 1 if a thread of the team was lost. */
  step(team: number, program: number, step: number): number;
  /** Rows of a quantized weight into their tiles; see wasm/pack.c. 1 if a scale or offset is not finite. */
  pack(args: number): number;
  /** Runs integer dots in order to time them; see wasm/linear/race.c. */
  race?(address: number, rounds: number, narrow: number): number;
  team_run?(team: number, index: number): void;
  team_stop?(team: number): void;
  readonly __stack_pointer: WebAssembly.Global<'i32' | 'i64'>;
  readonly __heap_base: WebAssembly.Global<'i32' | 'i64'>;
}

/** An instance over a memory; `stack` is the upper end of its stack, in bytes, absent for the module's own. */
export async function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  stack?: number,
): Promise<Kernels> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  const kernels = instance.exports as unknown as Kernels;
  const heapBase = Number(kernels.__heap_base.value);
  if (heapBase > MODULE_BYTES)
    throw new EdgeError(
      'INTERNAL',
      `The module takes ${heapBase} bytes for itself, more than ${MODULE_BYTES}`,
    );
  const pointer = kernels.__stack_pointer;
  if (stack !== undefined) pointer.value = typeof pointer.value === 'bigint' ? BigInt(stack) : stack;
  return kernels;
}
