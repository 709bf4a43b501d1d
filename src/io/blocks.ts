import { checkRange } from './range.ts';
import type { ByteSource } from './types.ts';

export const BLOCK = 2 ** 20; // bytes
const AHEAD = 8; // blocks that are fetched at the same time, before they are asked for
const HELD = 2 * AHEAD; // blocks in memory
const SMALL = 4; // blocks: such a file is always fetched as a whole, if it is to be kept

/** Where blocks of a file are kept. Writing the same block twice does no harm. */
export interface BlockStore {
  has(block: number): boolean;
  /** The bytes of a block that it has; null if they are gone. */
  read(block: number, length: number): Promise<Uint8Array | null>;
  /** Keeps it if it can. */
  write(block: number, bytes: Uint8Array): Promise<void>;
  /** Called once nothing more is read. `complete` is false where blocks are missing. */
  close(complete: boolean): Promise<void>;
}

/** A file elsewhere, read in blocks: several at a time, each once as long as there is a store to keep it. */
export class BlockSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  private readonly count: number;
  private readonly held = new Map<number, Promise<Uint8Array>>(); // the newest last
  private next = 0; // the block after those that were read last
  private run = AHEAD; // blocks read without a jump: as many are fetched ahead; at first a file is read in order, as a rule
  private broken = false; // a block could not be had
  private closed: Promise<void> | null = null;

  constructor(
    private readonly remote: ByteSource,
    private readonly store: BlockStore | null,
  ) {
    this.name = remote.name;
    this.size = remote.size;
    this.count = Math.ceil(remote.size / BLOCK);
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const bytes = new Uint8Array(length);
    await this.readInto(offset, bytes, signal);
    return bytes;
  }

  async readInto(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    checkRange(this, offset, into.length);
    const end = offset + into.length;
    const first = Math.floor(offset / BLOCK);
    const last = Math.ceil(end / BLOCK); // exclusive
    const near = first >= this.next - 1 && first <= this.next + AHEAD;
    this.run = near ? this.run + Math.max(0, last - this.next) : 1;
    this.next = last;
    for (let block = first; block < last; block++) {
      const parts = this.block(block, signal);
      if (last > 1) this.lookAhead(block + 1, signal); // not for a header
      const found = await parts;
      const begin = block * BLOCK;
      const from = Math.max(offset, begin);
      into.set(found.subarray(from - begin, end - begin), from - offset);
    }
  }

  /** Fetches what is left, if that is the smaller part: the file is then whole for the next time. */
  close(): Promise<void> {
    this.closed ??= this.finish();
    return this.closed;
  }

  private async finish(): Promise<void> {
    const { store } = this;
    await Promise.allSettled(this.held.values());
    if (store) {
      const missing = Array.from({ length: this.count }, (_, block) => block).filter(
        (block) => !store.has(block),
      );
      const fetch = async (): Promise<void> => {
        for (let block = missing.pop(); block !== undefined; block = missing.pop()) await this.block(block);
      };
      if (!this.broken && missing.length <= Math.max(SMALL, this.count / 2))
        await Promise.allSettled(Array.from({ length: AHEAD }, fetch));
      await store.close(
        Array.from({ length: this.count }, (_, block) => block).every((block) => store.has(block)),
      );
    }
    this.held.clear();
    await this.remote.close();
  }

  private lookAhead(from: number, signal: AbortSignal | undefined): void {
    const end = Math.min(this.count, from + Math.min(AHEAD, this.run));
    for (let block = from; block < end; block++)
      if (!this.store?.has(block)) this.block(block, signal).catch(() => {}); // it is asked for again
  }

  private block(block: number, signal?: AbortSignal): Promise<Uint8Array> {
    const held = this.held.get(block);
    if (held) return held;
    const bytes = this.fetch(block, signal);
    this.held.set(block, bytes);
    bytes.catch(() => this.held.delete(block));
    for (const [oldest] of this.held) {
      if (this.held.size <= HELD) break;
      this.held.delete(oldest);
    }
    return bytes;
  }

  private async fetch(block: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { store } = this;
    const offset = block * BLOCK;
    const length = Math.min(BLOCK, this.size - offset);
    const kept = store?.has(block) ? await store.read(block, length) : null;
    if (kept) return kept;
    const bytes = await this.remote.read(offset, length, signal).catch((error) => {
      this.broken = true;
      throw error;
    });
    await store?.write(block, bytes);
    return bytes;
  }
}
