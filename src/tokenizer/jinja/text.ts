import type { Meter } from './limits.ts';
import { Callable, Float, Lazy, type Namespace, Tuple, Undefined, type Value } from './values.ts';

/** Python's `str(value)`: what `{{ value }}` prints. @throws TemplateLimit */
export function str(value: Value, meter: Meter): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return '';
  return repr(value, meter);
}

/** Python's `repr(value)`. */
export function repr(value: Value, meter: Meter): string {
  const writer = new Writer(meter);
  writeRepr(value, writer, meter);
  return writer.text;
}

/** Text in the making, no longer than it may be. */
export class Writer {
  text = '';

  constructor(private readonly meter: Meter) {}

  add(part: string): void {
    this.text += part;
    this.meter.make(this.text.length);
  }
}

function writeRepr(value: Value, to: Writer, meter: Meter): void {
  if (typeof value === 'string') to.add(quoted(value));
  else if (typeof value === 'boolean') to.add(value ? 'True' : 'False');
  else if (typeof value === 'number') to.add(integer(value));
  else if (value === null) to.add('None');
  else if (value instanceof Float) to.add(float(value.value));
  else if (value instanceof Undefined) to.add('Undefined');
  else if (value instanceof Lazy) to.add('<generator object>');
  else if (value instanceof Callable) to.add(`<function ${value.name}>`);
  else if (value instanceof Tuple) {
    writeList(value.items, ['(', value.items.length === 1 ? ',)' : ')'], to, meter);
  } else if (Array.isArray(value)) writeList(value, ['[', ']'], to, meter);
  else {
    const isDict = value instanceof Map;
    const entries = [...(isDict ? value : (value as Namespace).fields)];
    to.add(isDict ? '{' : '<Namespace {');
    meter.within(() => {
      for (const [i, [key, item]] of entries.entries()) {
        if (i > 0) to.add(', ');
        writeRepr(key, to, meter);
        to.add(': ');
        writeRepr(item, to, meter);
      }
    });
    to.add(isDict ? '}' : '}>');
  }
}

function writeList(
  items: readonly Value[],
  [open, close]: readonly [string, string],
  to: Writer,
  meter: Meter,
): void {
  to.add(open);
  meter.within(() => {
    for (const [i, item] of items.entries()) {
      if (i > 0) to.add(', ');
      writeRepr(item, to, meter);
    }
  });
  to.add(close);
}

/** An int in digits. */
export function integer(value: number): string {
  return Math.abs(value) < 1e21 ? String(value === 0 ? 0 : value) : BigInt(value).toString();
}

/** The shortest digits that give the number back, with an exponent where Python writes one. */
export function float(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    const digits = String(Math.abs(power)).padStart(2, '0');
    return `${mantissa}e${power < 0 ? '-' : '+'}${digits}`;
  }
  if (power < 0) {
    const digits = mantissa.replace(/[-.]/g, '');
    return `${value < 0 ? '-' : ''}0.${'0'.repeat(-power - 1)}${digits}`;
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A text as Python's source would have it. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  // Python shows what is printable: no controls, no separators but the space, nothing unassigned.
  const escaped = text.replace(/[\\'"]|[\p{C}\p{Z}]/gu, (character) => {
    if (character === ' ') return character;
    if (character === quote) return `\\${character}`;
    if (character === "'" || character === '"') return character;
    const known = ESCAPES[character];
    if (known) return known;
    const code = character.codePointAt(0)!;
    if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
    if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, '0')}`;
    return `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `${quote}${escaped}${quote}`;
}
