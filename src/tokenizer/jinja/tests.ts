import { binary, contains } from './operators.ts';
import type { Run } from './sequence_filters.ts';
import { Callable, Float, Lazy, Namespace, numberOf, Tuple, Undefined, type Value } from './values.ts';

type Test = (run: Run, value: Value, args: readonly Value[]) => boolean;

const compared =
  (operator: string): Test =>
  ({ meter }, value, [other]) =>
    binary(operator, value, other ?? null, meter) === true;

const isSequence = (value: Value) =>
  typeof value === 'string' || Array.isArray(value) || value instanceof Tuple || value instanceof Map;

const remainder = (value: Value, by: Value | undefined): number => {
  const [x, y] = [numberOf(value), numberOf(by ?? null)];
  if (x === null || y === null) throw new Error('a remainder needs two numbers');
  return x - y * Math.floor(x / y);
};

const equals = compared('==');
const less = compared('<');
const greater = compared('>');
const isLower = (value: Value) =>
  typeof value === 'string' && value === value.toLowerCase() && value !== value.toUpperCase();
const isUpper = (value: Value) =>
  typeof value === 'string' && value === value.toUpperCase() && value !== value.toLowerCase();

/** jinja2's tests, for `is` and for `select` and its kin. */
export const TESTS: Readonly<Record<string, Test>> = {
  boolean: (_, value) => typeof value === 'boolean',
  callable: (_, value) => value instanceof Callable,
  defined: (_, value) => !(value instanceof Undefined),
  divisibleby: (_, value, [by]) => remainder(value, by) === 0,
  eq: equals,
  equalto: equals,
  '==': equals,
  even: (_, value) => remainder(value, 2) === 0,
  false: (_, value) => value === false,
  float: (_, value) => value instanceof Float,
  ge: compared('>='),
  gt: greater,
  greaterthan: greater,
  '>': greater,
  '>=': compared('>='),
  in: ({ meter }, value, [container]) => contains(container ?? null, value, meter),
  integer: (_, value) => typeof value === 'number',
  iterable: (_, value) => isSequence(value) || value instanceof Lazy || value instanceof Undefined,
  le: compared('<='),
  lt: less,
  lessthan: less,
  '<': less,
  '<=': compared('<='),
  lower: (_, value) => isLower(value),
  mapping: (_, value) => value instanceof Map,
  ne: compared('!='),
  '!=': compared('!='),
  none: (_, value) => value === null,
  number: (_, value) => numberOf(value) !== null,
  odd: (_, value) => remainder(value, 2) === 1,
  sameas: (_, value, [other]) => value === other,
  sequence: (_, value) => isSequence(value) || value instanceof Undefined || value instanceof Namespace,
  string: (_, value) => typeof value === 'string',
  true: (_, value) => value === true,
  undefined: (_, value) => value instanceof Undefined,
  upper: (_, value) => isUpper(value),
};
