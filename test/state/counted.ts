import { variant } from '../wasm/host.ts';

const wasm = variant('simd', { threaded: false });

/** A backend that counts what its executors do. */
export function counted() {
  const count = { rows: 0, steps: 0, reads: 0, writes: 0, copies: 0 };
  const backend: typeof wasm = {
    ...wasm,
    async create(...args) {
      const executor = await wasm.create(...args);
      const { step, readSlot, writeSlot, copySlot } = executor;
      executor.step = (wanted) => {
        count.rows += wanted.ids.length;
        count.steps += 1;
        return step.call(executor, wanted);
      };
      executor.readSlot = (...slot) => {
        count.reads += 1;
        return readSlot.apply(executor, slot);
      };
      executor.writeSlot = (...slot) => {
        count.writes += 1;
        return writeSlot.apply(executor, slot);
      };
      executor.copySlot = (...slots) => {
        count.copies += 1;
        return copySlot.apply(executor, slots);
      };
      return executor;
    },
  };
  return {
    backend,
    count,
    clear: () => Object.assign(count, { rows: 0, steps: 0, reads: 0, writes: 0, copies: 0 }),
  };
}
