import type { Meter } from './limits.ts';
import { percent } from './percent.ts';
import { str } from './text.ts';
import {
  compare,
  equal,
  Float,
  itemsOf,
  keyOf,
  numberOf,
  Tuple,
  typeOf,
  Undefined,
  type Value,
} from './values.ts';

/** `left operator right`, as Python does it. */
export function binary(operator: string, left: Value, right: Value, meter: Meter): Value {
  switch (operator) {
    case '==':
      return equal(left, right, meter);
    case '!=':
      return !equal(left, right, meter);
    case '<':
      return compare(left, right, meter) < 0;
    case '<=':
      return compare(left, right, meter) <= 0;
    case '>':
      return compare(left, right, meter) > 0;
    case '>=':
      return compare(left, right, meter) >= 0;
    case '~':
      return joined(str(left, meter), str(right, meter), meter);
    default:
      return arithmetic(operator, left, right, meter);
  }
}

/** Python's `value in container`. */
export function contains(container: Value, value: Value, meter: Meter): boolean {
  if (container instanceof Map) return container.has(keyOf(value));
  if (typeof container !== 'string') return itemsOf(container).some((item) => equal(item, value, meter));
  if (typeof value === 'string') return container.includes(value);
  throw new Error(`'in <string>' requires string as left operand, not ${typeOf(value)}`);
}

/** Python's `value[start:stop:step]`. */
export function slice(value: Value, start: Value, stop: Value, step: Value): Value {
  const items = itemsOf(value);
  const { length } = items;
  const by = step === null ? 1 : numberOf(step);
  if (by === null || by === 0) throw new Error('slice step cannot be zero');
  const bound = (given: Value, absent: number, least: number, most: number) => {
    if (given === null) return absent;
    const at = numberOf(given);
    if (at === null) throw new Error('slice indices must be integers or None');
    return Math.min(most, Math.max(least, at < 0 ? at + length : at));
  };
  const found: Value[] = [];
  if (by > 0) {
    const end = bound(stop, length, 0, length);
    for (let i = bound(start, 0, 0, length); i < end; i += by) found.push(items[i]!);
  } else {
    const end = bound(stop, -1, -1, length - 1);
    for (let i = bound(start, length - 1, -1, length - 1); i > end; i += by) found.push(items[i]!);
  }
  if (typeof value === 'string') return found.join('');
  return value instanceof Tuple ? new Tuple(found) : found;
}

function joined(left: string, right: string, meter: Meter): string {
  meter.make(left.length + right.length);
  return left + right;
}

function arithmetic(operator: string, left: Value, right: Value, meter: Meter): Value {
  if (left instanceof Undefined || right instanceof Undefined)
    throw new Error(`'${(left instanceof Undefined ? left : (right as Undefined)).name}' is undefined`);
  const [x, y] = [numberOf(left), numberOf(right)];
  if (x !== null && y !== null)
    return numeric(operator, x, y, left instanceof Float || right instanceof Float);
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return joined(left, right, meter);
    const isTuple = left instanceof Tuple;
    if ((isTuple && right instanceof Tuple) || (Array.isArray(left) && Array.isArray(right))) {
      const items = [...itemsOf(left), ...itemsOf(right)];
      meter.make(items.length);
      return isTuple ? new Tuple(items) : items;
    }
  }
  if (operator === '*' && (x !== null || y !== null))
    return repeated(x === null ? left : right, x ?? y!, meter);
  if (operator === '%' && typeof left === 'string') return percent(left, right, meter);
  throw new Error(`unsupported operand type(s) for ${operator}: '${typeOf(left)}' and '${typeOf(right)}'`);
}

function repeated(value: Value, count: number, meter: Meter): Value {
  const times = Math.max(0, count);
  if (typeof value === 'string') {
    meter.make(value.length * times);
    return value.repeat(times);
  }
  const items = itemsOf(value);
  meter.make(items.length * times);
  const all = Array.from({ length: times }, () => items).flat();
  return value instanceof Tuple ? new Tuple(all) : all;
}

function numeric(operator: string, x: number, y: number, isFloat: boolean): Value {
  const result = (value: number, float = isFloat): Value => (float ? new Float(value) : value + 0);
  switch (operator) {
    case '+':
      return result(x + y);
    case '-':
      return result(x - y);
    case '*':
      return result(x * y);
    case '**':
      return result(x ** y, isFloat || y < 0);
    case '/':
    case '//':
    case '%':
      if (y === 0) throw new Error('division by zero');
      if (operator === '/') return result(x / y, true);
      return result(operator === '//' ? Math.floor(x / y) : x - y * Math.floor(x / y));
    default:
      throw new Error(`unknown operator ${operator}`);
  }
}
