import { FULL } from '../helpers/full.ts';
import { quant } from '../helpers/tensors.ts';
import { runGolden } from '../models/golden.ts';
import { SIMDS, variant } from './host.ts';

for (const simd of SIMDS) runGolden(variant(simd, { threaded: false }), { label: `wasm ${simd}` });
runGolden(variant('simd'), { label: 'wasm simd, 2 threads', threads: 2, chunk: 7 });

// Against the same dequantized weights (docs/adr/0006). One of each family, and all in `npm run test:full`.
const against = 'reference' as const;
const names = FULL ? undefined : ['mamba2-a', 'rene-a', 'granite-hybrid', 'falcon-h1', 'nano'];
const [q4, q8] = [quant(4, 32), quant(8, 64)];
for (const format of [q4, q8])
  runGolden(variant('simd'), { label: `wasm q${format.bits}, exact`, format, against }, names);
for (const simd of SIMDS) {
  const backend = variant(simd, { threaded: false });
  const i16 = { format: q8, numerics: 'i16', tolerance: 1e-3, against } as const;
  const i8 = { format: q4, numerics: 'i8', tolerance: 6e-2, against } as const;
  runGolden(backend, { label: `wasm ${simd}, q8, i16`, ...i16 }, names);
  runGolden(backend, { label: `wasm ${simd}, q4, i8`, ...i8 }, names);
}
