import { type Meter, TEMPLATE_LIMITS, TemplateLimit } from './limits.ts';
import { integer, repr, str } from './text.ts';
import { Float, Tuple, type Value } from './values.ts';

/** Python's `text % values`. */
export function percent(format: string, values: Value, meter: Meter): string {
  const rest = values instanceof Tuple ? [...values.items] : [values];
  const text = format.replace(
    /%(?:\((\w+)\))?([-+ 0#]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g,
    (_, name, flags, width, precision, kind) => {
      if (kind === '%') return '%';
      let value: Value | undefined;
      if (name !== undefined) value = values instanceof Map ? values.get(name) : undefined;
      else value = rest.shift();
      if (value === undefined) throw new Error('not enough arguments for format string');
      return pad(formatted(kind, value, precision, meter), flags, width, meter);
    },
  );
  if (rest.length > 0 && !(values instanceof Map) && !/%\(/.test(format))
    throw new Error('not all arguments converted during string formatting');
  meter.make(text.length);
  return text;
}

function formatted(kind: string, value: Value, precision: string | undefined, meter: Meter): string {
  if (kind === 's' || kind === 'r') {
    const text = kind === 's' ? str(value, meter) : repr(value, meter);
    return precision === undefined ? text : Array.from(text).slice(0, Number(precision)).join('');
  }
  const number = value instanceof Float ? value.value : Number(value);
  if (Number.isNaN(number) && !(value instanceof Float))
    throw new Error(`%${kind} format: a number is required`);
  if (kind === 'd' || kind === 'i' || kind === 'u') return integer(Math.trunc(number));
  if (kind === 'x') return number.toString(16);
  if (kind === 'f' || kind === 'F') return number.toFixed(Math.min(100, Number(precision ?? 6)));
  throw new Error(`unsupported format character '${kind}'`);
}

function pad(text: string, flags: string, width: string | undefined, meter: Meter): string {
  const least = Number(width ?? 0);
  if (least > TEMPLATE_LIMITS.characters) throw new TemplateLimit('it asks for a field of endless width');
  meter.make(least);
  if (flags.includes('-')) return text.padEnd(least);
  return flags.includes('0') ? text.padStart(least, '0') : text.padStart(least);
}
