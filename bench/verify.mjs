import { child } from './children.mjs';

/** Ours and llama.cpp's logits of the same file must agree before anything is compared. */
export async function verifyPeer(file, node, peers) {
  const { error } = await child('agree', { file, peers }, node);
  if (!(error < 0.1)) throw new Error(`Logits of ${file} differ from llama.cpp's by ${error}: not compared`);
  console.log(`logits agree with llama.cpp's: relative error ${error.toExponential(1)}`);
}
