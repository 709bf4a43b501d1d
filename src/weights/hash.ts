import { viewOf } from './bytes.ts';

/**
 * MurmurHash3_x86_128 (Austin Appleby, public domain), 32 hexadecimal digits. Tells files apart; it is no defence
 * against someone who forges them. Our own, because crypto.subtle is missing where a page is not served securely.
 */
export function murmur128(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  const h = new Uint32Array(4);
  const blocks = bytes.length >>> 4;
  for (let block = 0; block < blocks; block++)
    for (let lane = 0; lane < 4; lane++) {
      h[lane]! ^= scramble(view.getUint32(16 * block + 4 * lane, true), lane);
      const mixed = rotate(h[lane]!, SPIN[lane]!) + h[(lane + 1) & 3]!;
      h[lane] = Math.imul(mixed, 5) + ADD[lane]!;
    }
  const tail = new Uint8Array(16);
  tail.set(bytes.subarray(16 * blocks));
  const rest = new DataView(tail.buffer);
  for (let lane = 0; lane < 4; lane++) h[lane]! ^= scramble(rest.getUint32(4 * lane, true), lane);
  for (let lane = 0; lane < 4; lane++) h[lane]! ^= bytes.length;
  spread(h);
  for (let lane = 0; lane < 4; lane++) h[lane] = finish(h[lane]!);
  spread(h);
  return Array.from(h, (word) => word.toString(16).padStart(8, '0')).join('');
}

const SPIN = [19, 17, 15, 13];
const ADD = [0x561ccd1b, 0x0bcaa747, 0x96cd1c35, 0x32ac3b17];
const FACTOR = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93];
const TURN = [15, 16, 17, 18];

function scramble(word: number, lane: number): number {
  return Math.imul(rotate(Math.imul(word, FACTOR[lane]!), TURN[lane]!), FACTOR[(lane + 1) & 3]!);
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function finish(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

function spread(h: Uint32Array): void {
  h[0]! += h[1]! + h[2]! + h[3]!;
  for (let lane = 1; lane < 4; lane++) h[lane]! += h[0]!;
}
