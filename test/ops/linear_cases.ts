import type { WeightFormat } from '../../src/types.ts';
import { ALL_FORMATS, F16, F32, quant } from '../helpers/tensors.ts';
import { around, buildCase, matrix, normal, type OpCase, rowsOf, Views, vector } from './build.ts';

const MAIN = [F32, F16, quant(4, 32), quant(8, 32), quant(4, 64, true)]; // what checkpoints mostly become
const LARGE = [quant(4, 32), quant(8, 64)]; // where f32 would take too long to draw

interface LinearShape {
  in: number;
  out: number;
  rows: number[]; // of each step
  norm?: boolean;
  bias?: boolean;
  scale?: number;
  pad?: [before: number, after: number]; // other columns around x and y
  inPlace?: boolean; // linear_residual: y is the residual
  formats?: readonly WeightFormat[];
}

function normLinear(name: string, shape: LinearShape): OpCase {
  const views = new Views();
  const [before, after] = shape.pad ?? [0, 0];
  const x = views.add('x', shape.in, around(0.1, 1), before, after);
  const y = views.add('y', shape.out, null, after, before);
  const norm = shape.norm !== false;
  return buildCase(name, rowsOf(...shape.rows), {
    views,
    weights: {
      w: matrix(shape.out, shape.in),
      ...(norm && { g: vector(shape.in) }),
      ...(shape.bias && { b: vector(shape.out) }),
    },
    values: { g: around(1, 0.2) },
    formats: shape.formats ?? MAIN,
    calls: [
      {
        op: 'norm_linear',
        x,
        w: 'w',
        y,
        eps: 1e-5,
        ...(norm && { g: 'g' }),
        ...(shape.bias && { b: 'b' }),
        ...(shape.scale && { scale: shape.scale }),
      },
    ],
  });
}

function linearResidual(name: string, shape: LinearShape): OpCase {
  const views = new Views();
  const [before, after] = shape.pad ?? [0, 0];
  const x = views.add('x', shape.in, normal, before, after);
  const residual = views.add('residual', shape.out, normal, after, before);
  const y = shape.inPlace ? residual : views.add('y', shape.out, null, before, after);
  return buildCase(name, rowsOf(...shape.rows), {
    views,
    weights: { w: matrix(shape.out, shape.in), ...(shape.bias && { b: vector(shape.out) }) },
    formats: shape.formats ?? MAIN,
    calls: [
      {
        op: 'linear_residual',
        x,
        w: 'w',
        residual,
        y,
        ...(shape.bias && { b: 'b' }),
        ...(shape.scale && { scale: shape.scale }),
      },
    ],
  });
}

export const normLinearCases: OpCase[] = [
  normLinear('every format, 5 rows of 200 to 24', { in: 200, out: 24, rows: [5], formats: ALL_FORMATS }),
  normLinear('every format, no norm, bias, odd sizes', {
    in: 131,
    out: 67,
    rows: [3],
    norm: false,
    bias: true,
    formats: ALL_FORMATS,
  }),
  normLinear('1 to 1', { in: 1, out: 1, rows: [1] }),
  normLinear('7 to 5, one row of a chunk', { in: 7, out: 5, rows: [9, 1], bias: true }),
  normLinear('a short last group, views of wider buffers', {
    in: 75,
    out: 33,
    rows: [6],
    pad: [5, 3],
    scale: 0.5,
  }),
  normLinear('in_proj of nano, chunk of 64', { in: 96, out: 422, rows: [64] }),
  normLinear('in_proj of tiny, 1 and 13 rows', { in: 384, out: 1676, rows: [13, 1] }),
  normLinear('MLP of tiny', { in: 384, out: 1152, rows: [4] }),
  normLinear('in_proj of mamba2-130m, 1 and 3 rows', { in: 768, out: 3352, rows: [3, 1] }),
  normLinear('in_proj of mamba2-370m', { in: 1024, out: 4384, rows: [1], formats: LARGE }),
  normLinear('in_proj of mamba2-1.3b', { in: 2048, out: 8512, rows: [1], formats: [quant(4, 32)] }),
];

export const linearResidualCases: OpCase[] = [
  linearResidual('every format, 5 rows of 136 to 40', { in: 136, out: 40, rows: [5], formats: ALL_FORMATS }),
  linearResidual('1 to 1', { in: 1, out: 1, rows: [1] }),
  linearResidual('in place, bias, scale', {
    in: 33,
    out: 19,
    rows: [7, 1],
    bias: true,
    scale: 0.22,
    inPlace: true,
  }),
  linearResidual('views of wider buffers', { in: 50, out: 21, rows: [3], pad: [2, 7], bias: true }),
  linearResidual('views of wider buffers, in place', {
    in: 64,
    out: 65,
    rows: [5],
    pad: [1, 6],
    inPlace: true,
  }),
  linearResidual('out_proj of nano, chunk of 64', { in: 192, out: 96, rows: [64], inPlace: true }),
  linearResidual('out_proj of tiny', { in: 768, out: 384, rows: [17, 1], inPlace: true }),
  linearResidual('out_proj of mamba2-130m', { in: 1536, out: 768, rows: [4, 1], inPlace: true }),
  linearResidual('out_proj of mamba2-370m', { in: 2048, out: 1024, rows: [2], formats: LARGE }),
  linearResidual('out_proj of mamba2-1.3b', { in: 4096, out: 2048, rows: [1], formats: [quant(4, 32)] }),
];

function embedCase(name: string, vocab: number, d: number, shape: Partial<LinearShape>): OpCase {
  const views = new Views();
  const y = views.add('y', d, null, ...(shape.pad ?? []));
  return buildCase(name, rowsOf(...(shape.rows ?? [3])), {
    views,
    weights: { table: matrix(vocab, d) },
    formats: shape.formats ?? MAIN,
    vocabSize: vocab,
    calls: [{ op: 'embed', table: 'table', y, ...(shape.scale && { scale: shape.scale }) }],
  });
}

export const embedCases: OpCase[] = [
  embedCase('every format, 200 wide', 40, 200, { rows: [9], formats: ALL_FORMATS }),
  embedCase('every format, 37 wide, scaled, in a wider buffer', 19, 37, {
    rows: [5],
    pad: [3, 2],
    scale: 12,
    formats: ALL_FORMATS,
  }),
  embedCase('1 of 1', 1, 1, { rows: [1] }),
  embedCase('nano', 1024, 96, { rows: [64, 1] }),
  embedCase('tiny', 4096, 384, { rows: [7] }),
  embedCase('every id range of gpt-neox, narrow', 50288, 32, { rows: [31], formats: [F16, quant(4, 32)] }),
];

function logitsCase(name: string, vocab: number, d: number, shape: Partial<LinearShape>): OpCase {
  const views = new Views();
  const x = views.add('x', d, around(-0.1, 1), ...(shape.pad ?? []));
  const steps = rowsOf(...(shape.rows ?? [3])).map((step) => {
    const last = step.segments[0]!.rows - 1;
    const outputs = [{ row: last, logits: true, target: vocab - 1 }];
    if (last > 1) outputs.unshift({ row: 1, logits: true, target: vocab >> 1 });
    return { ...step, outputs };
  });
  return buildCase(name, steps, {
    views,
    weights: { g: vector(d), w: matrix(vocab, d), ...(shape.bias && { b: vector(vocab) }) },
    values: { g: around(1, 0.2) },
    formats: shape.formats ?? MAIN,
    vocabSize: vocab,
    calls: [
      {
        op: 'logits',
        x,
        g: 'g',
        w: 'w',
        eps: 1e-5,
        ...(shape.bias && { b: 'b' }),
        ...(shape.scale && { scale: shape.scale }),
      },
    ],
  });
}

export const logitsCases: OpCase[] = [
  logitsCase('every format, 300 of 72', 300, 72, { rows: [5], formats: ALL_FORMATS }),
  logitsCase('bias, scale, odd sizes, a wider buffer', 131, 41, {
    rows: [4, 1],
    pad: [2, 5],
    bias: true,
    scale: 0.125,
  }),
  logitsCase('2 of 1', 2, 1, { rows: [1] }),
  logitsCase('nano', 1024, 96, { rows: [64, 1] }),
  logitsCase('tiny', 4096, 384, { rows: [2] }),
  logitsCase('gpt-neox vocabulary, narrow', 50288, 32, { rows: [3], formats: [F16, quant(4, 32)] }),
  logitsCase('a slice of the head of mamba2-130m', 2051, 768, { rows: [3] }),
];
