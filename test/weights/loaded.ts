import { findArchitecture } from '../../models/index.ts';
import { type Backend, UPLOAD_ROWS } from '../../src/backends/types.ts';
import type { FileSet } from '../../src/io/types.ts';
import type { Quantize } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { uploadWeights } from '../../src/weights/upload.ts';
import { logitsOf } from '../models/golden.ts';
import { variant } from '../wasm/host.ts';

/** Logits of the last `last` positions, [last, vocab], from files as they are loaded: in exact numerics, on WASM. */
export async function loadedLogits(
  files: FileSet,
  ids: ArrayLike<number>,
  {
    last = 1,
    quantize = 'none',
    backend = variant('simd', { threaded: false }),
  }: { last?: number; quantize?: Quantize; backend?: Backend } = {},
): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(files);
  try {
    const { config, tensors } = checkpoint;
    const blueprint = findArchitecture(config).read(config, tensors);
    const program = blueprint.program({ chunk: 64, maxContext: 512 });
    const { sources } = blueprint;
    const { formats } = weightFormats(checkpoint, sources, program.weights, quantize);
    const executor = await backend.create(program, formats, { slots: 1, numerics: 'exact', threads: 1 });
    try {
      const sinkOf = executor.sink.bind(executor);
      await uploadWeights(checkpoint, sources, program.weights, formats, sinkOf, { blockRows: UPLOAD_ROWS });
      await executor.ready();
      return await logitsOf({ executor, program }, ids, last);
    } finally {
      await executor.dispose();
    }
  } finally {
    await checkpoint.close();
  }
}
