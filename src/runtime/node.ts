/** Node, Bun and Deno. */
export * from './files.node.ts';
export * from './host.node.ts';
export * from './sha256.ts';
