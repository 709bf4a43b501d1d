import { quant } from '../helpers/tensors.ts';
import { runGolden } from '../models/golden.ts';
import { SIMDS, variant } from './host.ts';

for (const simd of SIMDS) runGolden(variant(simd, { threaded: false }), { label: `wasm ${simd}` });
runGolden(variant('simd'), { label: 'wasm simd, 2 threads', threads: 2, chunk: 7 });

// Against the same dequantized weights (DESIGN §7).
const against = 'reference' as const;
const [q4, q8] = [quant(4, 32), quant(8, 64)];
for (const format of [q4, q8])
  runGolden(variant('simd'), { label: `wasm q${format.bits}, exact`, format, against });
for (const simd of SIMDS) {
  const backend = variant(simd, { threaded: false });
  runGolden(backend, {
    label: `wasm ${simd}, q8, i16`,
    format: q8,
    numerics: 'i16',
    tolerance: 1e-3,
    against,
  });
  runGolden(backend, { label: `wasm ${simd}, q4, i8`, format: q4, numerics: 'i8', tolerance: 6e-2, against });
}
