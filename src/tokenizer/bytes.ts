/** The alphabet of byte-level BPE: every byte as one printable character (GPT-2's `bytes_to_unicode`). */
const byteOfCharacter: ReadonlyMap<string, number> = alphabet();

const encoder = new TextEncoder();

/** The bytes that a token of a byte-level vocabulary stands for. */
export function tokenBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  let length = 0;
  for (const character of token) {
    const byte = byteOfCharacter.get(character);
    if (byte === undefined) return encoder.encode(token); // not of this alphabet: stands for itself
    bytes[length++] = byte;
  }
  return bytes.subarray(0, length);
}

/** The printable Latin-1 characters stand for themselves; the other bytes, in order, for U+0100 and on. */
function alphabet(): Map<string, number> {
  const map = new Map<string, number>();
  let other = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    map.set(String.fromCharCode(printable ? byte : other++), byte);
  }
  return map;
}

const characterOfByte: readonly string[] = Array.from(byteOfCharacter)
  .sort(([, a], [, b]) => a - b)
  .map(([character]) => character);

/** A text's bytes as that alphabet writes them. */
export function byteCharacters(text: string): string {
  let written = '';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) return Array.from(encoder.encode(text), (byte) => characterOfByte[byte]).join('');
    written += characterOfByte[code];
  }
  return written;
}
