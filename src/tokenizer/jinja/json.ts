import type { Meter } from './limits.ts';
import { float, integer, Writer } from './text.ts';
import { Float, Tuple, type Value } from './values.ts';

/** How `tojson` writes: the keyword arguments of Python's `json.dumps`. */
export interface JsonStyle {
  ensureAscii: boolean;
  indent: string | null; // what a level is indented by; null: all on one line
  separators: readonly [string, string] | null; // between items, and after a key
  sortKeys: boolean;
}

/** Python's `json.dumps`. @throws for what JSON has no form of, TemplateLimit */
export function json(value: Value, style: JsonStyle, meter: Meter): string {
  const writer = new Writer(meter);
  const [comma, colon] = style.separators ?? [style.indent === null ? ', ' : ',', ': '];
  const write = (value: Value, margin: string): void => {
    const inner = style.indent === null ? '' : margin + style.indent;
    const container = (open: string, close: string, count: number, item: (i: number) => void) => {
      writer.add(open);
      meter.within(() => {
        for (let i = 0; i < count; i++) {
          if (i > 0) writer.add(comma);
          if (style.indent !== null) writer.add(`\n${inner}`);
          item(i);
        }
      });
      if (style.indent !== null && count > 0) writer.add(`\n${margin}`);
      writer.add(close);
    };
    if (typeof value === 'string') writer.add(jsonText(value, style.ensureAscii));
    else if (value === null || typeof value === 'boolean') writer.add(String(value));
    else if (typeof value === 'number') writer.add(integer(value));
    else if (value instanceof Float) writer.add(jsonFloat(value.value));
    else if (value instanceof Map) {
      const entries = [...value].map(([key, item]): [string, Value] => [jsonKey(key), item]);
      if (style.sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : 1));
      container('{', '}', entries.length, (i) => {
        writer.add(jsonText(entries[i]![0], style.ensureAscii) + colon);
        write(entries[i]![1], inner);
      });
    } else if (Array.isArray(value) || value instanceof Tuple) {
      const items = value instanceof Tuple ? value.items : value;
      container('[', ']', items.length, (i) => write(items[i]!, inner));
    } else throw new Error(`Object of type ${value.constructor.name} is not JSON serializable`);
  };
  write(value, '');
  return writer.text;
}

function jsonKey(key: string | number | boolean | null): string {
  return typeof key === 'number' ? (Number.isInteger(key) ? integer(key) : float(key)) : String(key);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? float(value) : value > 0 ? 'Infinity' : '-Infinity';
}

function jsonText(text: string, ascii: boolean): string {
  const quoted = JSON.stringify(text);
  if (!ascii) return quoted;
  return quoted.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
