/** Browsers: pages and workers. Same exports as node.ts. */
export * from './files.browser.ts';
export * from './host.browser.ts';
export * from './part.ts';
export * from './sha256.ts';
export * from './wasm_modules.ts';
