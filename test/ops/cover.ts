import type { View } from '../../src/ops/contract.ts';
import type { OpName } from '../../src/ops/index.ts';
import type { OpCase } from './build.ts';

/** Rows of the largest step. */
export function mostRows({ steps }: OpCase): number {
  return Math.max(...steps.map(({ segments }) => segments.reduce((sum, { rows }) => sum + rows, 0)));
}

/** Whether an op reads a matrix once for many rows. `logits` has the rows of its outputs, which are few. */
export const ofManyRows = (op: OpName, testCase: OpCase) =>
  (op === 'norm_linear' || op === 'linear_residual') && mostRows(testCase) >= 64;

/** Multiplications by weights, and elements of activations and states: how long a case takes, roughly. */
function work({ program, steps, formats }: OpCase): number {
  const size = (shapes: readonly number[][]) =>
    shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const rows = steps.reduce((sum, { segments }) => sum + segments.reduce((n, s) => n + s.rows, 0), 0);
  const weights = size(Object.values(program.weights).map(({ shape }) => [...shape]));
  const states = size(Object.values(program.states).map(({ shape }) => [...shape]));
  const widths = size(Object.values(program.buffers).map(({ width }) => [width]));
  return formats.length * (weights * (1 + rows) + widths * rows + states * (1 + rows));
}

type Fields = Readonly<Record<string, unknown>>;

/** Fields of a call: enumerations by their value, numbers by whether they are 0 or 1, others by being there. */
function fieldsOf(call: Fields): string[] {
  return Object.entries(call).map(([field, value]) => {
    if (/^(mode|kind|activation)$/.test(field)) return `${field} ${value}`;
    if (typeof value === 'number') return `${field} ${value === 0 || value === 1 ? value : 'other'}`;
    return field;
  });
}

/** Where operands lie in their buffers, and how wide they are. */
function viewTraits({ program }: OpCase, call: Fields): string[] {
  const isView = (value: unknown): value is View => typeof (value as View)?.buffer === 'string';
  const views = Object.values(call).filter(isView);
  const widths = views.map(({ width }) => width);
  const wider = views.some(({ buffer, width }) => program.buffers[buffer]!.width > width);
  const sizes = Object.values(program.weights).map(({ shape }) => shape.join());
  return [
    wider ? 'views of wider buffers' : 'whole buffers',
    widths.some((width) => width % 4 !== 0) ? 'odd widths' : 'even widths',
    ...(Math.max(...widths) >= 256 ? ['wide'] : []),
    ...(new Set(views.map(({ buffer }) => buffer)).size < views.length ? ['views of one buffer'] : []),
    `weights of ${new Set(sizes).size} shapes`,
    ...(Number(call.kvHeads) < Number(call.heads) ? ['heads that share keys'] : []),
  ];
}

/** How rows come, step by step. */
function stepTraits({ steps }: OpCase): string[] {
  const segments = steps.flatMap((step) => step.segments);
  const some = (trait: string, found: boolean) => (found ? [trait] : []);
  return [
    steps.length > 1 ? 'several steps' : 'one step',
    ...some(
      'several segments',
      steps.some((step) => step.segments.length > 1),
    ),
    ...some(
      'continued',
      segments.some(({ position }) => position > 0),
    ),
    ...some(
      'far away',
      segments.some(({ position }) => position > 1000),
    ),
    ...some(
      'one row',
      steps.some((step) => step.segments.every(({ rows }) => rows === 1)),
    ),
    ...some(
      'more rows',
      segments.some(({ rows }) => rows > 1),
    ),
    ...some(
      'many rows',
      segments.some(({ rows }) => rows >= 64),
    ),
  ];
}

/** What outputs ask for: fields that are not 0, 1 or empty. */
function outputTraits({ steps, expected }: OpCase): string[] {
  const asked = steps.flatMap((step) => step.outputs).flatMap(({ sample }) => (sample ? [sample] : []));
  const has = (value: unknown): boolean =>
    typeof value === 'number'
      ? value !== 0 && value !== 1
      : Object.values(value ?? {}).some((x) => has(x) || x === 1);
  const fields = asked.flatMap((sample) => Object.entries(sample).filter(([, value]) => has(value)));
  return [...fields.map(([field]) => `sample ${field}`), ...(expected ? ['told by hand'] : [])];
}

/** Of enumerations of the call: modes, kinds, activations. */
const kindsOf = (testCase: OpCase) =>
  fieldsOf(testCase.program.calls[0] as unknown as Fields).filter((field) =>
    /^(mode|kind|activation) /.test(field),
  );

/** What sets a case apart from others of its op, as words. */
export function traits(testCase: OpCase): string[] {
  const { program, formats } = testCase;
  const call = program.calls[0] as unknown as Fields;
  const single = [
    ...fieldsOf(call),
    ...viewTraits(testCase, call),
    ...stepTraits(testCase),
    ...outputTraits(testCase),
  ];
  if (formats.length > 8) single.push('every format');
  if (program.vocabSize > 16) single.push(program.vocabSize > 1000 ? 'large vocabulary' : 'vocabulary');
  return [...single, ...kindsOf(testCase).flatMap((kind) => single.map((trait) => `${kind}, ${trait}`))];
}

const cheapestFirst = (cases: readonly OpCase[]) => [...cases].sort((a, b) => work(a) - work(b));

/** For each kind of an op, or for the op where it has no kinds, the case with the most traits. */
export function richest(cases: readonly OpCase[]): OpCase[] {
  const found = new Map<string, OpCase>();
  for (const testCase of cheapestFirst(cases)) {
    const kind = kindsOf(testCase).join();
    const best = found.get(kind);
    if (!best || traits(testCase).length > traits(best).length) found.set(kind, testCase);
  }
  return [...found.values()];
}

/** Cases told by hand, and the cheapest, greedily chosen, that have every trait that any of `cases` has. */
export function cover(cases: readonly OpCase[]): OpCase[] {
  const chosen = cases.filter(({ expected }) => expected);
  const missing = new Set(cases.flatMap(traits));
  const take = (testCase: OpCase) => {
    for (const trait of traits(testCase)) missing.delete(trait);
  };
  chosen.forEach(take);
  const cheap = cheapestFirst(cases);
  while (missing.size > 0) {
    const gain = (testCase: OpCase) => traits(testCase).filter((trait) => missing.has(trait)).length;
    const best = cheap.reduce((found, testCase) => (gain(testCase) > gain(found) ? testCase : found));
    chosen.push(best);
    take(best);
  }
  return chosen;
}
