import type { Program, StateSpec } from '../ops/program.ts';
import { elementCount } from '../weights/shape.ts';
import { Checksum } from './checksum.ts';

/** A slot's state in host memory: of each state of the program, in order of name, what can still be read. */
export type StateImage = readonly Float32Array[];

interface Part {
  name: string;
  outer: number;
  ring: number; // rows of the slot's ring; 1 of a dense state
  keep: number; // rows of it that a later token may read
  inner: number; // values of a row
  unbounded: boolean; // attention over all that there was: maxContext rows
}

/**
 * The part of a slot that must be kept. Rings are cut to the rows that later tokens read, oldest first, and to those that were
 * written: the same bytes whatever a backend's chunk, and no more of them than tokens.
 */
export class ImageLayout {
  private readonly parts: readonly Part[];

  constructor(program: Program) {
    this.parts = Object.keys(program.states)
      .sort()
      .map((name) => partOf(program, name, program.states[name]!));
  }

  /** Bytes of all states of a slot, whole rings included. */
  get slotBytes(): number {
    return 4 * this.parts.reduce((sum, { outer, ring, inner }) => sum + outer * ring * inner, 0);
  }

  /** f32 values of each state after `position` tokens. */
  sizes(position: number): number[] {
    return this.parts.map((part) => part.outer * rowsAt(part, position) * part.inner);
  }

  /** Bytes of an image. */
  bytes(position: number): number {
    return 4 * this.sizes(position).reduce((a, b) => a + b, 0);
  }

  /** From what `Executor.readSlot` gives. */
  cut(state: Readonly<Record<string, Float32Array>>, position: number): StateImage {
    return this.parts.map((part) => {
      const rows = rowsAt(part, position);
      if (rows === part.ring) return state[part.name]!;
      return moveRows(state[part.name]!, part, { from: part.ring, to: rows });
    });
  }

  /** To what `Executor.writeSlot` takes. */
  fill(image: StateImage, position: number): Record<string, Float32Array> {
    const states = this.parts.map((part, i): [string, Float32Array] => {
      const rows = rowsAt(part, position);
      if (rows === part.ring) return [part.name, image[i]!];
      return [part.name, moveRows(image[i]!, part, { from: rows, to: part.ring })];
    });
    return Object.fromEntries(states);
  }

  /** [16]: tells programs apart whose images don't fit each other. */
  digest(): Uint8Array {
    const text = this.parts.map((part) =>
      [part.name, part.outer, part.unbounded ? 'all' : part.keep, part.inner].join(' '),
    );
    const bytes = new TextEncoder().encode(text.join('\n'));
    const padded = new Uint8Array(Math.ceil(bytes.length / 16) * 16);
    padded.set(bytes);
    return new Checksum().update(padded).digest();
  }
}

function rowsAt({ ring, keep }: Part, position: number): number {
  return ring === 1 ? 1 : Math.min(keep, position);
}

function partOf(program: Program, name: string, { shape, layout }: StateSpec): Part {
  if (layout === 'dense')
    return { name, outer: 1, ring: 1, keep: 1, inner: elementCount(shape), unbounded: false };
  const axis = layout.ringAxis;
  const ring = shape[axis]!;
  const windows = program.calls.map((call) =>
    call.op === 'window_attention' && call.state === name ? call.window : 0,
  );
  const window = Math.max(0, ...windows);
  const keep = window > 0 ? Math.min(window, ring) : ring;
  const unbounded = window >= program.maxContext;
  return {
    name,
    outer: elementCount(shape.slice(0, axis)),
    ring,
    keep,
    inner: elementCount(shape.slice(axis + 1)),
    unbounded,
  };
}

/** The newest rows of [outer, from, inner] as [outer, to, inner], after zeros where there are more. */
function moveRows(
  values: Float32Array,
  { outer, inner }: Part,
  rows: { from: number; to: number },
): Float32Array {
  const moved = new Float32Array(outer * rows.to * inner);
  const count = Math.min(rows.from, rows.to) * inner;
  for (let i = 0; i < outer; i++) {
    const end = (i + 1) * rows.from * inner;
    moved.set(values.subarray(end - count, end), (i + 1) * rows.to * inner - count);
  }
  return moved;
}
