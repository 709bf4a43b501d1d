import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MODELS, writeGguf } from './make_gguf.mjs';

/** Where generated models and peers are kept, outside the package. */
export const SCRATCH = process.env.EDGE_SSM_BENCH ?? join(tmpdir(), 'edge-ssm-bench');

/** The file of a shape with random weights, its head quantized like the rest; made when it is first asked for. */
export function modelFile(model, quant) {
  if (model === 'tiny') return fileURLToPath(new URL('../models/tiny', import.meta.url));
  if (!(model in MODELS))
    throw new Error(`--models takes tiny, ${Object.keys(MODELS).slice(1).join(', ')}; found '${model}'`);
  mkdirSync(SCRATCH, { recursive: true });
  const file = join(SCRATCH, `${model}-${quant}.gguf`);
  if (!existsSync(file)) {
    console.log(`writing ${file}`);
    writeGguf(file, { model, quant, emb: quant });
  }
  return file;
}
