import {
  ByteFallbackDecoder,
  type Decoder,
  MetaspaceDecoder,
  SequenceDecoder,
} from '@huggingface/tokenizers';
import type { JsonObject, JsonValue } from '../types.ts';

/** Makes a decoder of the library do what the original's does, where they part. */
export function correctDecoder(json: JsonValue | undefined, decoder: Decoder | null): void {
  const config = (json ?? {}) as JsonObject;
  if (decoder instanceof SequenceDecoder)
    decoder.decoders.forEach((step, i) => void correctDecoder((config.decoders as JsonValue[])[i], step));
  // Without this, U+FEFF is lost where a token begins with it.
  if (decoder instanceof ByteFallbackDecoder)
    decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  if (decoder instanceof MetaspaceDecoder) {
    const { replacement: mark } = decoder;
    const keeps = config.prepend_scheme === 'never' || config.add_prefix_space === false;
    decoder.decode_chain = (tokens) =>
      tokens.map((token, i) => token.replaceAll(mark, i === 0 && !keeps ? '' : ' '));
  }
}
