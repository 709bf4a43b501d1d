// The ways in which files go wrong.
import type { Random } from '../helpers/random.ts';

const TOKENS = [
  '0',
  '-1',
  '1e999',
  '9007199254740993',
  '1152921504606846976',
  '4294967296',
  '""',
  '[]',
  '{}',
  'null',
  'true',
  'NaN',
  'Infinity',
  '"F16"',
  '"U8"',
  ',',
  ':',
  '}',
  ']',
  '{"a":',
  '[[[[[[[[[[[[',
];

function flipBits(bytes: Uint8Array, random: Random, within: number): Uint8Array {
  const out = bytes.slice();
  for (let n = 1 + random.below(8); n > 0; n--) out[random.below(within)]! ^= 1 << random.below(8);
  return out;
}

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length - remove + insert.length);
  out.set(bytes.subarray(0, at));
  out.set(insert, at);
  out.set(bytes.subarray(at + remove), at + insert.length);
  return out;
}

/** One of the ways in which files go wrong. `header`: bytes that are not plain data. */
export function mutate(bytes: Uint8Array, random: Random, header: number): Uint8Array {
  const anywhere = random.below(header);
  switch (random.below(7)) {
    case 0:
      return flipBits(bytes, random, header);
    case 1:
      return flipBits(bytes, random, bytes.length);
    case 2:
      return bytes.slice(0, random.below(bytes.length));
    case 3: // a piece is missing
      return splice(
        bytes,
        anywhere,
        Math.min(1 + random.below(64), bytes.length - anywhere),
        new Uint8Array(0),
      );
    case 4: // a piece occurs twice
      return splice(bytes, anywhere, 0, bytes.slice(anywhere, anywhere + 1 + random.below(200)));
    case 5: {
      // a number is a lie
      const out = bytes.slice();
      const width = [1, 2, 4, 8][random.below(4)]!;
      for (let i = 0; i < width && anywhere + i < out.length; i++)
        out[anywhere + i] = [0, 255, 127, random.below(256)][random.below(4)]!;
      return out;
    }
    default: {
      const text = new TextEncoder().encode(TOKENS[random.below(TOKENS.length)]!);
      return splice(bytes, anywhere, Math.min(random.below(12), bytes.length - anywhere), text);
    }
  }
}

/** A change that keeps the header's declared length true, so that what follows is reached. */
export function editHeader(bytes: Uint8Array, random: Random): Uint8Array {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  const spots = [...text.matchAll(/-?\d+(\.\d+)?|"[^"]*"|null|true|false/g)];
  const spot = spots[random.below(spots.length)]!;
  const token = random.below(3)
    ? TOKENS[random.below(TOKENS.length)]!
    : spots[random.below(spots.length)]![0];
  const edited = new TextEncoder().encode(
    text.slice(0, spot.index) + token + text.slice(spot.index + spot[0].length),
  );
  const out = splice(bytes, 8, length, edited);
  new DataView(out.buffer).setBigUint64(0, BigInt(edited.length), true);
  return out;
}

export function editJson(bytes: Uint8Array, random: Random): Uint8Array {
  const prefixed = splice(bytes, 0, 0, new Uint8Array(8));
  new DataView(prefixed.buffer).setBigUint64(0, BigInt(bytes.length), true);
  return editHeader(prefixed, random).slice(8);
}
