/** Node, Bun and Deno. */
export * from './files.node.ts';
export * from './host.node.ts';
export * from './part.ts';
export * from './sha256.ts';
export * from './wasm_modules.ts';
