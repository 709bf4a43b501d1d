/** Models of random weights in real proportions, as GGUF; `tiny` has about 2.4 million parameters. */
export const {
  writeGguf,
}: {
  writeGguf(
    file: string,
    options: { model: 'tiny'; quant: string; emb?: string },
  ): { bytes: number; params: number };
} = await import(new URL('../../bench/make_gguf.mjs', import.meta.url).href);
