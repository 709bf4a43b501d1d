import { readFileSync } from 'node:fs';
import type { Engine } from '../../src/engine/engine.ts';
import { parseTokenizer } from '../../src/tokenizer/index.ts';
import { type FakeExecutor, fakeEngine } from './fake.ts';

const file = readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8');
/** nano's. */
export const tokenizer = parseTokenizer({ name: 'nano', tokenizer: file }, 1024);
const EOS = 0;

/** An engine whose model says `text`, whatever it is asked, and then eos. */
export function saying(
  text: string,
  more: readonly number[] = [],
): { engine: Engine; executor: FakeExecutor; script: number[] } {
  const script = [...tokenizer.encode(text), ...more, EOS];
  const { engine, executor } = fakeEngine({ vocabSize: 1024, tokenizer, eos: [EOS] });
  executor.logits = (_, slot) => {
    const logits = new Float32Array(1024);
    logits[script[executor.consumed[slot]! - 1] ?? EOS] = 9;
    return logits;
  };
  return { engine, executor, script };
}
