import { EdgeError } from '../../errors.ts';
import { MODULE_BYTES } from './memory.ts';

/** Exports of the modules; see wasm/step.c and wasm/thread_pool.c. */
export interface Kernels {
  // Addresses are those of addressOf (memory.ts), whatever the width of the module's own pointers.
  /** Runs a step; 0, or 1 if a thread of the pool was lost. */
  step(pool: number, step: number): number;
  /** Rows of a quantized weight into their tiles; see wasm/pack.c. 1 if a scale or bias is not finite. */
  pack(args: number): number;
  /** Runs integer dots in order to time them; see wasm/linear/probe_dot.c. */
  probe_dot?(address: number, rounds: number, sum16: number): number;
  pool_run?(pool: number, index: number): void;
  pool_stop?(pool: number): void;
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
