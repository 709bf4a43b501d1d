import type { OpCall } from '../../ops/index.ts';
import { callDims } from '../../ops/program.ts';
import type { Encoder } from './encoder.ts';
import { addressOf, ceilTo } from './memory.ts';
import { Words } from './words.ts';

type Encoders<K extends OpCall['op']> = { [N in K]: Encoder<Extract<OpCall, { op: N }>> };

/** The ops that are not linear; those are in encode_linear.ts. */
export const stateEncoders: Encoders<
  'conv1d' | 'ssd_scan' | 'gate_norm' | 'activation' | 'rotary' | 'window_attention' | 'sample'
> = {
  conv1d: {
    words: (call, at) =>
      new Words()
        .u32(...at.view(call.x), ...at.view(call.y), ...at.state(call.state))
        .u32(at.vector(call.weight), call.bias === undefined ? 0 : at.vector(call.bias))
        .u32(callDims(at.program, call).k!, ['none', 'silu'].indexOf(call.activation)),
  },
  ssd_scan: {
    scratch: (call, { program }) => ({ shared: 0, perThread: 8 * program.chunk * ceilTo(call.dt.width, 4) }),
    words(call, at, { perThread }) {
      const { nheads, headdim, d_state, d } = callDims(at.program, call);
      return new Words()
        .u32(...[call.x, call.B, call.C, call.dt, call.y].flatMap((view) => at.view(view)))
        .u32(...at.state(call.state), at.vector(call.dtBias), at.vector(call.A), at.vector(call.D))
        .u32(nheads!, headdim!, d_state!, call.ngroups, d === nheads ? 0 : 1)
        .f32(call.dtMin, call.dtMax)
        .u32(addressOf(perThread));
    },
  },
  gate_norm: {
    words: (call, at) =>
      new Words()
        .u32(...at.view(call.x), ...at.view(call.z), ...at.view(call.y))
        .u32(call.g === undefined ? 0 : at.vector(call.g))
        .u32(['norm_then_gate', 'gate_then_norm', 'gate'].indexOf(call.mode), call.ngroups)
        .f32(call.eps),
  },
  activation: {
    words: (call, at) =>
      new Words()
        .u32(...at.view(call.x), ...(call.gate ? at.view(call.gate) : [0, 0, 0]), ...at.view(call.y))
        .u32(['gelu', 'silu', 'relu2'].indexOf(call.kind)),
  },
  rotary: {
    words: ({ x, heads, dims, theta }, at) =>
      new Words().u32(...at.view(x), x.width / heads, dims).f32(theta),
  },
  window_attention: {
    scratch: (call) => ({ shared: 0, perThread: 4 * ceilTo(call.window, 16) }),
    words(call, at, { perThread }) {
      const { ring, q } = callDims(at.program, call);
      return new Words()
        .u32(...[call.q, call.k, call.v, call.y].flatMap((view) => at.view(view)), ...at.state(call.state))
        .u32(ring!, call.heads, call.kvHeads, q! / call.heads, call.window)
        .f32(call.scale)
        .u32(addressOf(perThread));
    },
  },
  sample: {
    scratch: (_call, { program }) => ({ shared: 0, perThread: sampleScratch(program.vocabSize) }),
    words: (_call, at, { perThread }) => new Words().u32(at.program.vocabSize, addressOf(perThread)),
  },
};

/** `room` of wasm/ops/select.h: two rows of logits, and the masses and counts of a radix pass. */
function sampleScratch(vocab: number): number {
  return 2 * 4 * ceilTo(vocab, 16) + 2048 * (8 + 4);
}
