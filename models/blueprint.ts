import { requireArgument } from '../src/errors.ts';
import type { Program } from '../src/ops/program.ts';
import { type Block, type Draft, view } from './blocks.ts';
import type { Blueprint } from './types.ts';
import type { WeightBinder } from './weights.ts';

interface Facts {
  architecture: string;
  dModel: number;
  vocabSize: number; // rows of the embedding and of the head, padding included
  eps: number;
  tied: boolean | undefined; // undefined: as the checkpoint has it
  bosTokenId: number | null;
  eosTokenIds: readonly number[];
  /** Where the checkpoint has what is not in a block; the names of state-spaces and transformers' Mamba2 if absent. */
  tensors?: { embedding: string; norm: string; layers: string };
  embeddingScale?: number; // 1
  logitsScale?: number; // 1
}

/** Embedding, blocks, final norm and head: what every model here is. */
export function languageModel(facts: Facts, weights: WeightBinder, blocks: readonly Block[]): Blueprint {
  const { dModel, vocabSize, eps } = facts;
  const { embeddingScale, logitsScale } = facts;
  const tensors = facts.tensors ?? {
    embedding: weights.spelling('backbone.embeddings.weight', 'backbone.embedding.weight'),
    norm: 'backbone.norm_f.weight',
    layers: 'backbone.layers.',
  };
  const embedding = weights.matrix('embedding', tensors.embedding, vocabSize, dModel);
  const norm = weights.vector('norm_f', tensors.norm, dModel);
  const tied = facts.tied ?? !weights.has('lm_head.weight');
  const head = tied ? embedding : weights.matrix('head', 'lm_head.weight', vocabSize, dModel);
  const bias = !tied && weights.has('lm_head.bias');
  const b = weights.bias('head.bias', 'lm_head.bias', vocabSize, bias);
  weights.noLayersBeyond(tensors.layers, blocks.length);
  return {
    architecture: facts.architecture,
    dModel,
    nLayer: blocks.length,
    vocabSize,
    bosTokenId: facts.bosTokenId,
    eosTokenIds: facts.eosTokenIds,
    sources: weights.sources,
    program({ chunk, maxContext }): Program {
      requireArgument(
        Number.isInteger(chunk) && chunk >= 1,
        `chunk must be a positive integer, found ${chunk}`,
      );
      requireArgument(
        Number.isInteger(maxContext) && maxContext >= 1,
        `maxContext must be a positive integer, found ${maxContext}`,
      );
      const draft: Draft = { chunk, maxContext, bounded: false, buffers: {}, states: {}, calls: [] };
      const residual = view(draft, 'residual', 0, dModel);
      draft.calls.push({
        op: 'embed',
        table: embedding,
        y: residual,
        ...(embeddingScale !== undefined && { scale: embeddingScale }),
      });
      for (const block of blocks) block(draft);
      draft.calls.push(
        {
          op: 'logits',
          x: residual,
          g: norm,
          w: head,
          ...(b !== undefined && { b }),
          eps,
          ...(logitsScale !== undefined && { scale: logitsScale }),
        },
        { op: 'sample' },
      );
      return {
        buffers: draft.buffers,
        weights: weights.specs,
        states: draft.states,
        calls: draft.calls,
        vocabSize,
        chunk,
        maxContext: draft.bounded ? maxContext : Number.POSITIVE_INFINITY,
      };
    },
  };
}
