import { runParity } from '../ops/parity.ts';
import { SIMDS, variant } from './host.ts';

for (const simd of SIMDS) runParity(variant(simd, { threaded: false }), { label: `wasm ${simd}` });
runParity(variant('simd'), { label: 'wasm simd, 2 threads', threads: 2, numerics: ['exact', 'i16'] });
runParity(variant('relaxed'), { label: 'wasm relaxed, 3 threads', threads: 3, numerics: ['i8'] });
