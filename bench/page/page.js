// ?models=/models/tiny/,/scratch/130m-q4_0.gguf&prompt=512&tokens=64&numerics=i8
import { measure } from './measure.js';

const options = new URLSearchParams(location.search);
const models = (options.get('models') ?? '/models/tiny/').split(',');
const cores = navigator.hardwareConcurrency;
const at = (id) => document.getElementById(id);
at('device').textContent =
  `${navigator.userAgent} · ${cores} cores · ${crossOriginIsolated ? '' : 'not '}cross-origin isolated`;

globalThis.results = [];
try {
  for (const source of models)
    for (const threads of crossOriginIsolated && cores > 1 ? [1, cores] : [1]) {
      const result = await measure({
        source,
        threads,
        numerics: options.get('numerics') ?? 'i8',
        prompt: options.get('prompt') ?? 512,
        tokens: options.get('tokens') ?? 64,
      });
      results.push({ source, ...result });
      const { loadMs, firstTokenMs, prefill, decode, variant } = result;
      const numbers = [loadMs, firstTokenMs, prefill, decode].map((value) =>
        value.toFixed(value < 100 ? 1 : 0),
      );
      const row = at('results').insertRow();
      for (const text of [source, result.threads, variant, ...numbers]) row.insertCell().textContent = text;
    }
  at('state').textContent = 'done; verified by the self-test of this device before it was timed';
} catch (error) {
  at('state').textContent = `failed: ${error.message}`;
}
