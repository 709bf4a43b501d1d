import type { Program } from '../src/ops/program.ts';
import type { JsonObject } from '../src/types.ts';
import type { TensorShape, WeightSource } from '../src/weights/types.ts';
import type { TensorNames } from './names.ts';

/** One checkpoint, understood: facts for `info`, where each weight comes from, and the program to run it. */
export interface Blueprint {
  architecture: string;
  dModel: number;
  nLayer: number;
  vocabSize: number;
  bosTokenId: number | null;
  eosTokenIds: readonly number[];
  sources: Readonly<Record<string, WeightSource>>; // by the program's weight names
  program(options: { chunk: number; maxContext: number }): Program;
}

/** One file of this folder; its tensors come to it under its own names. */
export interface Architecture {
  name: string; // the model type that configs say
  tensorNames: TensorNames;
  /** Does this config ask for this architecture? */
  matches(config: JsonObject): boolean;
  /**
   * Reads a config against the tensors of its checkpoint.
   * Throws UNSUPPORTED_MODEL for options that no program is written for, INVALID_FILE where the two contradict.
   */
  read(config: JsonObject, tensors: ReadonlyMap<string, TensorShape>): Blueprint;
}
