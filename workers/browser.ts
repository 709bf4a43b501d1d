import { isThread } from '../src/runtime/host.browser.ts';

// In browsers one script is both the engine's worker and the threads of its WASM thread pool.
// The build bundles both, and runs the one that is imported before the first message arrives.
void (isThread() ? import('./wasm-thread.ts') : import('./engine.ts'));
