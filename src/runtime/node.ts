/** Node, Bun and Deno. */
export * from './files.node.ts';
export * from './host.node.ts';
