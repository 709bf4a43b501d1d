// The time to read a file once, which a load is measured against: to memory of its own, and past a small buffer.
import { closeSync, openSync, readSync, statSync } from 'node:fs';

const { file } = JSON.parse(process.argv[2]);
const PART = 2 * 2 ** 20; // bytes
const size = statSync(file).size;

/** Milliseconds of reading all of it, part by part, each to where `place` says. */
function read(place) {
  const begin = performance.now();
  const open = openSync(file);
  for (let at = 0; at < size; at += PART) readSync(open, place(at), 0, Math.min(PART, size - at), at);
  closeSync(open);
  return performance.now() - begin;
}

const buffer = new Uint8Array(PART);
const pastMs = read(() => buffer);
const whole = new Uint8Array(Math.ceil(size / PART) * PART);
const toMemoryMs = read((at) => whole.subarray(at, at + PART));
console.log(JSON.stringify({ pastMs, toMemoryMs }));
