import { encodeCall } from './encode.ts';
import type { Addresses } from './encoder.ts';
import { ARGUMENT_BYTES, type Layout } from './layout.ts';
import { addressOf } from './memory.ts';
import { structs, writeFields } from './structs.ts';

const CALL = structs.call;

/** Writes the call[] and the argument structs of a program. */
export function writeProgram(buffer: ArrayBufferLike, layout: Layout): void {
  const at = addresses(layout);
  const calls = new Uint32Array(buffer, layout.calls, CALL.WORDS * layout.callList.length);
  layout.callList.forEach((call, i) => {
    const { op, arguments: argument } = encodeCall(call, at);
    const offset = layout.arguments + i * ARGUMENT_BYTES;
    new Uint32Array(buffer, offset, ARGUMENT_BYTES / 4).set(argument.words);
    writeFields(calls.subarray(i * CALL.WORDS), CALL, { op, arguments: addressOf(offset) });
  });
}

function addresses(layout: Layout): Addresses {
  const { program, numerics, threads, vectors, linears, buffers, states } = layout;
  return {
    program,
    numerics,
    threads,
    view({ buffer, offset, width }) {
      const place = buffers.get(buffer)!;
      return [addressOf(place.offset) + offset, place.stride, width];
    },
    state(name) {
      const { offset, stride } = states.get(name)!;
      return [addressOf(offset), addressOf(stride)];
    },
    vector: (name) => addressOf(vectors.get(name)!),
    linear: (name) => addressOf(linears.get(name)!.offset),
    packed: (name) => linears.get(name)!.packed,
  };
}
