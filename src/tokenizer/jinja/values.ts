import type { Meter } from './limits.ts';

/** A Python float; a plain number is an int. */
export class Float {
  constructor(readonly value: number) {}
}

/** The value of an undefined name: it prints as nothing, and has no attributes. */
export class Undefined {
  constructor(readonly name: string) {}
}

export class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

/** Python's iterator of `map`, `select` and the like: it can be walked over, and is always true. */
export class Lazy {
  constructor(readonly items: readonly Value[]) {}
}

/** The value of `namespace()`: the one thing that templates can write to. */
export class Namespace {
  constructor(readonly fields: Map<string, Value>) {}
}

/** Named arguments of a call. */
export type Named = ReadonlyMap<string, Value>;

export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: readonly Value[], named: Named) => Value,
  ) {}
}

export type Key = string | number | boolean | null;
export type Dict = Map<Key, Value>;

/** A value of the template, with the meaning that it has in Python. */
export type Value =
  | string
  | number
  | boolean
  | null
  | Float
  | Undefined
  | Tuple
  | Lazy
  | Namespace
  | Callable
  | Dict
  | readonly Value[];

/** A value of JavaScript as the one of Python that transformers would hand over. */
export function toValue(input: unknown, meter: Meter): Value {
  meter.spend(0);
  switch (typeof input) {
    case 'string':
    case 'boolean':
      return input;
    case 'number':
      return Number.isInteger(input) ? input : new Float(input);
    case 'undefined':
      return null;
    case 'object':
      if (input === null) return null;
      return meter.within(() =>
        Array.isArray(input)
          ? input.map((item) => toValue(item, meter))
          : new Map(Object.entries(input).map(([key, value]) => [key, toValue(value, meter)])),
      );
    default:
      throw new Error(`a ${typeof input} cannot be given to a template`);
  }
}

/** The name of its type in Python. */
export function typeOf(value: Value): string {
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (value === null) return 'NoneType';
  if (value instanceof Float) return 'float';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Lazy) return 'generator';
  if (value instanceof Map) return 'dict';
  if (value instanceof Namespace) return 'Namespace';
  if (value instanceof Callable) return 'function';
  return value instanceof Undefined ? 'Undefined' : 'list';
}

/** A number of Python, bool among them; null for anything else. */
export function numberOf(value: Value): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : null;
}

export function truth(value: Value): boolean {
  if (value instanceof Undefined) return false;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** Unicode characters, as Python counts them. */
export function characters(text: string): string[] {
  return Array.from(text);
}

export function lengthOf(value: Value): number {
  if (typeof value === 'string')
    return /[\ud800-\udfff]/.test(value) ? characters(value).length : value.length;
  if (value instanceof Map) return value.size;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Undefined) return 0;
  if (Array.isArray(value)) return value.length;
  throw new Error(`object of type '${typeOf(value)}' has no len()`);
}

/** The items of a loop over it. */
export function itemsOf(value: Value): readonly Value[] {
  if (typeof value === 'string') return characters(value);
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Tuple || value instanceof Lazy) return value.items;
  if (value instanceof Undefined) return [];
  if (Array.isArray(value)) return value;
  throw new Error(`'${typeOf(value)}' object is not iterable`);
}

/** Python's `==`. */
export function equal(a: Value, b: Value, meter: Meter): boolean {
  meter.spend(1);
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null || y !== null) return x === y;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (a instanceof Map && b instanceof Map)
    return (
      a.size === b.size && [...a].every(([key, value]) => b.has(key) && within(value, b.get(key)!, meter))
    );
  if (typeOf(a) !== typeOf(b)) return false;
  const sequence = Array.isArray(a) || a instanceof Tuple;
  if (!sequence) return a === b;
  const [left, right] = [itemsOf(a), itemsOf(b)];
  return left.length === right.length && left.every((item, i) => within(item, right[i]!, meter));
}

function within(a: Value, b: Value, meter: Meter): boolean {
  return meter.within(() => equal(a, b, meter));
}

/** Below 0 if `a` comes first, above if `b` does. @throws where Python knows no order */
export function compare(a: Value, b: Value, meter: Meter): number {
  meter.spend(1);
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return x - y;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  const sequence = Array.isArray(a) || a instanceof Tuple;
  if (!sequence || typeOf(a) !== typeOf(b))
    throw new Error(`'<' not supported between instances of '${typeOf(a)}' and '${typeOf(b)}'`);
  const [left, right] = [itemsOf(a), itemsOf(b)];
  const parting = left.findIndex((item, i) => i >= right.length || !within(item, right[i]!, meter));
  if (parting < 0 || parting >= right.length) return left.length - right.length;
  return meter.within(() => compare(left[parting]!, right[parting]!, meter));
}

/** By Unicode's code points, not by halves of pairs. */
function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [characters(a), characters(b)];
  const parting = left.findIndex((character, i) => character !== right[i]);
  if (parting < 0 || parting >= right.length) return left.length - right.length;
  return left[parting]!.codePointAt(0)! - right[parting]!.codePointAt(0)!;
}

/** A value as a key of a dict. Numbers that are equal are one key, as in Python. */
export function keyOf(value: Value): Key {
  if (value === null || typeof value === 'string') return value;
  const number = numberOf(value);
  if (number !== null) return number;
  throw new Error(`unhashable type: '${typeOf(value)}'`);
}
