/** Files that the build inlines. */
declare module '*.wasm.js' {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}
declare module '*.script.js' {
  const script: string;
  export default script;
}
declare module 'edge-ssm:engine-worker' {
  const script: string;
  export default script;
}
declare module 'comlink/dist/esm/node-adapter.mjs' {
  export { default } from 'comlink/dist/esm/node-adapter.d.ts';
}
declare module '*.wgsl' {
  const source: string;
  export default source;
}
