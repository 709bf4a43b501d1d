import { findArchitecture } from '../../models/index.ts';
import { openFileSet } from '../../src/io/fileset.ts';
import type { Tensor } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { uploadWeights } from '../../src/weights/upload.ts';

/*
 * Loads a model into buffers as a backend would hold it, and prints the process's peak memory before and after.
 * Arguments: folder, quantize.
 */

const [folder, quantize] = process.argv.slice(2) as [string, 'q4' | 'q8' | 'none'];
const peak = () => process.resourceUsage().maxRSS * 1024;

const checkpoint = await openCheckpoint(await openFileSet(folder));
const { sources, program } = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
const { weights } = program({ chunk: 64, maxContext: 512 });
const { formats } = weightFormats(checkpoint, sources, weights, quantize);

const held = new Map<string, Uint8Array>();
let bytes = 0;
const parts = (tensor: Tensor) => ('q' in tensor ? [tensor.q, tensor.scale] : [tensor.data]);
const before = peak();
await uploadWeights(
  checkpoint,
  sources,
  weights,
  formats,
  (name) => ({
    put(row, tensor) {
      const rows = weights[name]!.shape.slice(0, -1).reduce((a, b) => a * b, 1);
      for (const [i, part] of parts(tensor).entries()) {
        const width = part.byteLength / tensor.rows;
        let whole = held.get(`${name} ${i}`);
        if (!whole) {
          whole = new Uint8Array(rows * width);
          held.set(`${name} ${i}`, whole);
          bytes += whole.length;
        }
        whole.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), row * width);
      }
    },
  }),
  { blockRows: 64 },
);
const largest = Math.max(...[...held.values()].map(({ length }) => length));
await checkpoint.close();
process.stdout.write(JSON.stringify({ before, after: peak(), bytes, largest }));
