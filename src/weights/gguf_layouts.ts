import { EdgeError } from '../errors.ts';
import type { Program } from '../ops/program.ts';
import type { WeightFormat } from '../types.ts';
import type { GgufValue } from './gguf_write.ts';
import type { Checkpoint, WeightSource } from './types.ts';

/** A model, understood: what models/ says of it. */
export interface ExportedModel {
  checkpoint: Checkpoint;
  architecture: string;
  dModel: number;
  nLayer: number;
  bosTokenId: number | null;
  eosTokenIds: readonly number[];
  sources: Readonly<Record<string, WeightSource>>;
  program: Program;
  formats: Readonly<Record<string, WeightFormat>>;
  onWarning?: (message: string) => void;
}

/** Where a weight goes in llama.cpp's files. */
export interface GgufPlace {
  name: string;
  shape: readonly number[]; // slowest dimension first
  rows?: readonly [first: number, count: number]; // of the weight; all
  scale?: number; // that llama.cpp has no parameter for: it is folded in; 1
}

/** A model in the words of llama.cpp: its architecture, that architecture's keys, and a place for each weight. */
export interface GgufLayout {
  architecture: string;
  metadata: Readonly<Record<string, GgufValue>>;
  places: readonly (readonly [weight: string, GgufPlace])[];
}

type Op = Program['calls'][number]['op'];
type Call<T extends Op> = Extract<Program['calls'][number], { op: T }>;
const u32 = (value: number): GgufValue => ({ u32: value });
const f32 = (value: number): GgufValue => ({ f32: value });

const ARCHITECTURES: Readonly<Record<string, string>> = {
  mamba2: 'mamba2',
  granitemoehybrid: 'granitehybrid',
  falcon_h1: 'falcon-h1',
};

/** Names of weights, those of layers without 'layers.N.', and of parts of a layer without the part's name. */
const NAMES: Readonly<Record<string, string>> = {
  embedding: 'token_embd.weight',
  norm_f: 'output_norm.weight',
  head: 'output.weight',
  norm: 'attn_norm.weight',
  in_proj: 'ssm_in.weight',
  conv: 'ssm_conv1d.weight',
  'conv.bias': 'ssm_conv1d.bias',
  dt_bias: 'ssm_dt.bias',
  A: 'ssm_a',
  D: 'ssm_d',
  gate_norm: 'ssm_norm.weight',
  out_proj: 'ssm_out.weight',
};
const HYBRID: Readonly<Record<string, string>> = {
  q_proj: 'attn_q',
  k_proj: 'attn_k',
  v_proj: 'attn_v',
  o_proj: 'attn_output',
  gate_proj: 'ffn_gate',
  up_proj: 'ffn_up',
  down_proj: 'ffn_down',
  output_linear: 'ffn_down',
};

/**
 * A model as llama.cpp lays it out.
 * @throws UNSUPPORTED_MODEL for what its architecture has no place for
 */
export function ggufLayout(model: ExportedModel): GgufLayout {
  return new Layout(model).result();
}

class Layout {
  private readonly program: Program;
  private readonly architecture: string;
  private readonly hybrid: boolean;
  private readonly ngroups: number;

  constructor(private readonly model: ExportedModel) {
    this.program = model.program;
    const found = Object.hasOwn(ARCHITECTURES, model.architecture) ? ARCHITECTURES[model.architecture] : null;
    if (!found)
      throw this.refuse(
        'place',
        `'${model.architecture}' models; it has one for ${Object.keys(ARCHITECTURES).join(', ')}`,
      );
    this.architecture = found;
    this.hybrid = found !== 'mamba2';
    this.ngroups = this.calls('ssd_scan')[0]?.ngroups ?? 1;
  }

  result(): GgufLayout {
    this.check();
    const places = Object.keys(this.program.weights).flatMap((weight) => this.placesOf(weight));
    return { architecture: this.architecture, metadata: this.metadata(), places };
  }

  private calls<T extends Op>(op: T): Call<T>[] {
    return this.program.calls.filter((call): call is Call<T> => call.op === op);
  }

  private refuse(what: string, of: string): EdgeError {
    const { checkpoint, architecture } = this.model;
    const name = ARCHITECTURES[architecture] ? `llama.cpp's ${ARCHITECTURES[architecture]}` : 'llama.cpp';
    return new EdgeError(
      'UNSUPPORTED_MODEL',
      `${checkpoint.name}: ${name} has no ${what} for ${of}: write safetensors instead`,
    );
  }

  /** Refuses parts of a model that llama.cpp's graphs do not compute. */
  private check(): void {
    const { program } = this;
    const scan = this.calls('ssd_scan');
    if (scan.length === 0) throw this.refuse('place', 'models without Mamba-2');
    if (this.calls('gate_norm').some(({ mode }) => mode === 'norm_then_gate'))
      throw this.refuse('place', 'a norm before the gate');
    if (scan.some(({ dtMin, dtMax }) => dtMin > 0 || dtMax < Number.MAX_VALUE))
      throw this.refuse('place', 'limits of the step size');
    if (!this.hybrid && this.calls('window_attention').length > 0) throw this.refuse('place', 'attention');
    const [heads] = this.ssmShape();
    if (
      Object.entries(program.weights).some(([name, { shape }]) => name.endsWith('.D') && shape[0] !== heads)
    )
      throw this.refuse('place', 'D of each channel');
    if (this.calls('conv1d').some(({ bias }) => bias === undefined))
      throw this.refuse('place', 'a convolution without a bias');
    if (this.architecture === 'granitehybrid' && scan[0]!.x.width !== 2 * this.model.dModel)
      throw this.refuse('place', `an inner width of ${scan[0]!.x.width}, only for ${2 * this.model.dModel}`);
  }

  private ssmShape(): [heads: number, headdim: number, state: number] {
    const [, found] = Object.entries(this.program.states).find(([name]) => name.endsWith('.ssm'))!;
    return found.shape as unknown as [number, number, number];
  }

  private placesOf(weight: string): [string, GgufPlace][] {
    const { shape } = this.program.weights[weight]!;
    const [, layer, part = '', key = weight] =
      /^layers\.(\d+)\.((?:attention|mlp)\.)?(.+)$/.exec(weight) ?? [];
    const scale = this.folded(weight);
    const at = (name: string, more: Partial<GgufPlace> = {}): [string, GgufPlace] => [
      weight,
      { name: layer === undefined ? name : `blk.${layer}.${name}`, shape, ...scale, ...more },
    ];
    if (layer === undefined) return this.outside(weight, at);
    if (this.hybrid && key === 'norm' && part === 'attention.') return []; // that of Mamba-2 beside it
    if (this.hybrid && key === 'norm' && part === 'mlp.')
      return [at(this.architecture === 'falcon-h1' ? 'ffn_norm' : 'ffn_norm.weight')];
    if (this.hybrid && key === 'input_linear') {
      const [both, width] = shape as [number, number];
      const half = { shape: [both / 2, width] };
      return [
        at('ffn_gate.weight', { ...half, rows: [0, both / 2] }),
        at('ffn_up.weight', { ...half, rows: [both / 2, both / 2] }),
      ];
    }
    const [, projection = '', bias] = /^(.+?)(\.bias)?$/.exec(key)!;
    if (this.hybrid && Object.hasOwn(HYBRID, projection))
      return [at(`${HYBRID[projection]}${bias ?? '.weight'}`)];
    if (part !== '' || !Object.hasOwn(NAMES, key)) throw this.refuse('place', `weight '${weight}'`);
    if (key === 'A' || key === 'D') return [at(NAMES[key]!, { shape: [shape[0]!, 1] })];
    const groups = [this.ngroups, shape[0]! / this.ngroups];
    return [at(NAMES[key]!, key === 'gate_norm' ? { shape: groups } : {})];
  }

  /** Embedding, norm and head; a tied head is written out where the two are scaled differently. */
  private outside(
    weight: string,
    at: (name: string, more?: Partial<GgufPlace>) => [string, GgufPlace],
  ): [string, GgufPlace][] {
    if (!Object.hasOwn(NAMES, weight)) throw this.refuse('place', `weight '${weight}'`);
    if (weight !== 'embedding') return [at(NAMES[weight]!)];
    const [embed] = this.calls('embed');
    const [logits] = this.calls('logits');
    const [into, out] = this.folds() ? [embed?.scale ?? 1, logits?.scale ?? 1] : [1, 1];
    const places = [at(NAMES.embedding!, { scale: into })];
    if (logits?.w === 'embedding' && into !== out) places.push(at(NAMES.head!, { scale: out }));
    return places;
  }

  private folds(): boolean {
    return this.architecture === 'falcon-h1'; // granitehybrid has parameters for its scales
  }

  /** The factor that calls multiply a weight's output by. */
  private folded(weight: string): { scale?: number } {
    if (!this.folds()) return {};
    for (const call of this.program.calls)
      if ('w' in call && (call.w === weight || ('b' in call && call.b === weight && call.op !== 'logits')))
        return { scale: ('scale' in call ? call.scale : undefined) ?? 1 };
    return {};
  }

  private metadata(): Record<string, GgufValue> {
    const { dModel, nLayer } = this.model;
    const [heads, headdim, state] = this.ssmShape();
    const [, conv] = Object.entries(this.program.states).find(([name]) => name.endsWith('.conv'))!;
    const eps = this.calls('logits')[0]!.eps;
    const facts: Record<string, GgufValue> = {
      context_length: u32(2 ** 20),
      embedding_length: u32(dModel),
      vocab_size: u32(this.program.vocabSize),
      feed_forward_length: u32(0),
      'attention.head_count': u32(0),
      block_count: u32(nLayer),
      'ssm.conv_kernel': u32(conv.shape[0]!),
      'ssm.inner_size': u32(heads * headdim),
      'ssm.state_size': u32(state),
      'ssm.time_step_rank': u32(heads),
      'ssm.group_count': u32(this.ngroups),
      'attention.layer_norm_rms_epsilon': f32(eps),
      ...(this.hybrid && this.hybridFacts()),
    };
    return Object.fromEntries(
      Object.entries(facts).map(([key, value]) => [`${this.architecture}.${key}`, value]),
    );
  }

  private hybridFacts(): Record<string, GgufValue> {
    const { nLayer, dModel } = this.model;
    const attention = this.calls('window_attention');
    const [first] = attention;
    const [rotary] = this.calls('rotary');
    const mlp = Object.entries(this.program.weights).find(([name]) =>
      /\.(output_linear|down_proj)$/.test(name),
    );
    const headDim = first ? first.q.width / first.heads : dModel;
    const facts = {
      feed_forward_length: u32(mlp?.[1].shape[1] ?? 0),
      'attention.head_count': u32(first?.heads ?? 1),
      'attention.key_length': u32(headDim),
      'attention.value_length': u32(headDim),
    };
    if (this.architecture === 'falcon-h1')
      return {
        ...facts,
        'attention.head_count_kv': u32(first?.kvHeads ?? 1),
        'rope.freq_base': f32(rotary?.theta ?? 10_000),
      };
    const kv = Array.from({ length: nLayer }, (_, layer) => {
      const found = attention.find((call) => call.state === `layers.${layer}.kv`);
      return found?.kvHeads ?? 0;
    });
    return {
      ...facts,
      'attention.head_count_kv': { i32s: kv },
      'attention.scale': f32(first?.scale ?? 1),
      embedding_scale: f32(this.calls('embed')[0]!.scale ?? 1),
      residual_scale: f32(this.calls('linear_residual')[0]!.scale ?? 1),
      logit_scale: f32(1 / (this.calls('logits')[0]!.scale ?? 1)),
      'rope.dimension_count': u32(headDim),
      'rope.scaling.finetuned': { bool: false },
    };
  }
}
