import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { WindowStream } from '../../src/tokenizer/decode_stream.ts';
import { type DecodeStream, parseTokenizer } from '../../src/tokenizer/index.ts';

const file = readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8');
const nano = parseTokenizer({ name: 'nano', tokenizer: file }, 1024);

/** A small generator of the tests' own: the same ids everywhere. */
function randomIds(seed: number, count: number): number[] {
  let x = seed;
  return Array.from({ length: count }, () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return Math.floor((x / 2 ** 32) * 1024);
  });
}

function pieces(stream: DecodeStream, ids: Iterable<number>): string[] {
  return [...Array.from(ids, (id) => stream.push(id)), stream.flush()];
}

/** One token for every byte, as SentencePiece's fallback has them, and two words with a leading space. */
const llama = parseTokenizer(
  {
    name: 'bytes',
    tokenizer: JSON.stringify({
      normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
      model: {
        type: 'BPE',
        byte_fallback: true,
        vocab: Object.fromEntries([
          ...Array.from({ length: 256 }, (_, b) => [
            `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`,
            b,
          ]),
          ['▁cat', 256],
          ['▁sat', 257],
        ]),
        merges: [],
      },
    }),
  },
  258,
);
const utf8 = (text: string) => [...new TextEncoder().encode(text)];

describe('byte-level', () => {
  test.each(['猫 🦙🏽 naïve', 'x\uFFFDy\uFFFD\uFFFD', '\uFEFFa', '<|endoftext|>🦙'])(
    '%j in pieces',
    (text) => {
      const parts = pieces(nano.stream(), nano.encode(text));
      expect(parts.join('')).toBe(text);
      for (const part of parts)
        expect(part.replace(/\uFFFD/g, '')).toBe(text.includes(part) ? part.replace(/\uFFFD/g, '') : null);
    },
  );

  test('a thousand random ids: pieces equal the whole, whatever the bytes are', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const ids = randomIds(seed, 200);
      expect(pieces(nano.stream(), ids).join('')).toBe(nano.decode(ids));
    }
  });

  test('an incomplete character is held back, and U+FFFD at the end', () => {
    const ids = nano.encode('🦙');
    expect(ids.length).toBeGreaterThan(1);
    const stream = nano.stream();
    for (const id of ids.slice(0, -1)) expect(stream.push(id)).toBe('');
    expect(stream.flush()).toBe('\uFFFD');
    expect(stream.push(nano.encode('a')[0]!)).toBe('a'); // and starts anew
  });
});

describe('any other tokenizer, by a window', () => {
  test('leading space, characters in four tokens, real U+FFFD', () => {
    const ids = [256, 257, ...utf8(' 🦙 \uFFFD\uFFFD 猫'), 256, ...utf8('é')];
    const parts = pieces(llama.stream(), ids);
    expect(parts.join('')).toBe('cat sat 🦙 \uFFFD\uFFFD 猫 caté');
    expect(parts.slice(0, 2)).toEqual(['cat', ' sat']);
    expect(parts.join('')).toBe(llama.decode(ids));
  });

  test.each(['🦙'.repeat(50), '\uFFFD'.repeat(50), `${'cat '.repeat(40)}é`])('long: %j', (text) => {
    const ids = utf8(text);
    expect(pieces(llama.stream(), ids).join('')).toBe(llama.decode(ids));
    expect(llama.decode(ids)).toBe(text);
  });

  test('broken bytes', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const ids = randomIds(seed, 200).map((id) => id % 258);
      expect(pieces(llama.stream(), ids).join('')).toBe(llama.decode(ids));
    }
  });

  test('decodes no more than a fixed number of tokens at a time', () => {
    let most = 0;
    const stream = new WindowStream((ids) => {
      most = Math.max(most, ids.length);
      return llama.decode(ids);
    });
    for (let i = 0; i < 1000; i++) stream.push(i % 3 === 0 ? 0xff : 256);
    expect(most).toBeLessThanOrEqual(32);
  });
});
