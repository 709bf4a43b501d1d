/** SentencePiece's BPE, as GGUF has it (`tokenizer.ggml.model` = `llama`): pieces with scores; the best pair merges first. */
import type { JsonObject } from '../types.ts';

export const SPACE = '▁'; // U+2581

/**
 * The merges that scores stand for: every pair of pieces that makes a piece, the best piece first, among equals the one
 * that comes first; its pairs by their ids, as transformers' converter has them.
 */
export function mergesOfScores(
  vocab: ReadonlyMap<string, number>,
  scoreOf: (piece: string) => number | null, // null: no merge makes it
): [string, string][] {
  const merges: { pair: [string, string]; score: number; id: number; left: number; right: number }[] = [];
  for (const [piece, id] of vocab) {
    const score = scoreOf(piece);
    if (score === null) continue;
    for (let at = 1; at < piece.length; at++) {
      if (/[\uDC00-\uDFFF]/.test(piece[at]!)) continue; // within a character
      const pair: [string, string] = [piece.slice(0, at), piece.slice(at)];
      const [left, right] = [vocab.get(pair[0]), vocab.get(pair[1])];
      if (left !== undefined && right !== undefined) merges.push({ pair, score, id, left, right });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.id - b.id || a.left - b.left || a.right - b.right);
  return merges.map(({ pair }) => pair);
}

/** Normalizer and decoder of a tokenizer.json, as transformers' converter writes them for Llama. */
export function sentencePieceParts(spacePrefix: boolean): JsonObject {
  const replace = (from: string, to: string) => ({ type: 'Replace', pattern: { String: from }, content: to });
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [...(spacePrefix ? [{ type: 'Prepend', prepend: SPACE }] : []), replace(' ', SPACE)],
    },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        replace(SPACE, ' '),
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(spacePrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
  };
}
