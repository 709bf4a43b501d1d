/**
 * Text from tokens as they come: no piece splits a character, and all pieces with the final `flush` are exactly
 * the text of all tokens together. The work for a token does not depend on how many came before.
 */
export interface DecodeStream {
  /** The whole characters that `id` completes; empty while one is incomplete. */
  push(id: number): string;
  /** The rest at the end: U+FFFD for a character that was never completed. */
  flush(): string;
  /** The text that `id` would add, incomplete characters as U+FFFD. Changes nothing. */
  peek(id: number): string;
}

/** Tokens that stand for bytes: UTF-8 is decoded as a stream. */
export class ByteStream implements DecodeStream {
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  private complete = true; // the decoder holds no part of a character

  constructor(private readonly bytes: (id: number) => Uint8Array) {}

  push(id: number): string {
    const bytes = this.bytes(id);
    const ascii = bytes.every((byte) => byte < 0x80);
    // Most tokens are a few plain letters, for which a decoder takes longer to call than to run.
    if (this.complete && ascii && bytes.length <= 32) return String.fromCharCode(...bytes);
    if (bytes.length > 0) this.complete = bytes.at(-1)! < 0x80;
    return this.decoder.decode(bytes, { stream: true });
  }

  flush(): string {
    this.complete = true;
    return this.decoder.decode();
  }

  peek(id: number): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.bytes(id));
  }
}

const REPLACEMENT = '\uFFFD';
/** Tokens decoded together; at most four of them make a character. */
const WINDOW = 24;
const CONTEXT = 8;

/**
 * Any other tokenizer, known only by `decode`: decodes a sliding window of tokens. A character that is incomplete
 * shows as one U+FFFD at the end, so no more than that one character is ever held back.
 */
export class WindowStream implements DecodeStream {
  private ids: number[];
  private emitted: number; // characters of the window's text

  /** @param before ids whose text is known already: decoders treat the first token of a text otherwise */
  constructor(
    private readonly decode: (ids: readonly number[]) => string,
    before: readonly number[] = [],
  ) {
    this.ids = before.slice(-CONTEXT);
    const text = decode(this.ids);
    this.emitted = text.endsWith(REPLACEMENT) ? text.length - 1 : text.length;
  }

  push(id: number): string {
    this.ids.push(id);
    const text = this.decode(this.ids);
    const end = Math.max(this.emitted, text.endsWith(REPLACEMENT) ? text.length - 1 : text.length);
    const piece = text.slice(this.emitted, end);
    this.emitted = end;
    if (this.ids.length >= WINDOW) this.slide(text);
    return piece;
  }

  flush(): string {
    const piece = this.decode(this.ids).slice(this.emitted);
    this.ids = [];
    this.emitted = 0;
    return piece;
  }

  peek(id: number): string {
    return this.decode([...this.ids, id]).slice(this.emitted);
  }

  /** Drops the oldest tokens, so that what remains decodes to the end of the same text. */
  private slide(text: string): void {
    const held = text.length - this.emitted;
    for (let keep = CONTEXT; keep < CONTEXT + 4; keep++) {
      const ids = this.ids.slice(-keep);
      const rest = this.decode(ids);
      if (rest.length > held && text.endsWith(rest)) {
        this.ids = ids;
        this.emitted = rest.length - held;
        return;
      }
    }
  }
}
