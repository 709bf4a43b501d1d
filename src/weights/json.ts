import { EdgeError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';

export interface JsonLimits {
  bytes: number; // of UTF-8
  depth: number; // of nested arrays and objects
  values: number; // of any kind, keys aside
}

/** Of config.json and its kin. */
export const CONFIG_LIMITS: JsonLimits = { bytes: 16 * 2 ** 20, depth: 64, values: 1_000_000 };

/**
 * Reads JSON as configs and headers have it: strict (RFC 8259), but for bare `Infinity`, `-Infinity` and `NaN`
 * as Python writes them; `{"__float__": "Infinity"}` is that number too. Repeated keys are refused.
 * `name` is the file, for messages. @throws INVALID_FILE
 */
export function parseJson(name: string, source: Uint8Array | string, limits = CONFIG_LIMITS): JsonValue {
  if (source.length > limits.bytes)
    throw new EdgeError(
      'INVALID_FILE',
      `${name}: JSON of ${source.length} bytes; at most ${limits.bytes} are read`,
    );
  return new Parser(name, typeof source === 'string' ? source : decodeUtf8(name, source), limits).parse();
}

/** The same, where the top must be an object. */
export function parseJsonObject(
  name: string,
  source: Uint8Array | string,
  limits = CONFIG_LIMITS,
): JsonObject {
  const value = parseJson(name, source, limits);
  if (!isObject(value))
    throw new EdgeError('INVALID_FILE', `${name}: expected a JSON object, found ${kind(value)}`);
  return value;
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Bytes to text. @throws INVALID_FILE where they are not UTF-8 */
export function decodeUtf8(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new EdgeError('INVALID_FILE', `${name}: expected UTF-8 text, found bytes that are not`, { cause });
  }
}

/** JSON with sorted keys, for hashing and for writing; non-finite numbers are bare words, as `parseJson` reads them. */
export function stringifyJson(value: JsonValue): string {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return `[${value.map(stringifyJson).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const entries = Object.keys(value).sort();
  return `{${entries.map((key) => `${JSON.stringify(key)}:${stringifyJson(value[key]!)}`).join(',')}}`;
}

/** The same for people to read: a field a line, keys in their order. */
export function formatJson(value: JsonValue, indent = ''): string {
  const inner = `${indent} `;
  const list = isObject(value)
    ? Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${formatJson(item, inner)}`)
    : Array.isArray(value)
      ? value.map((item) => formatJson(item, inner))
      : null;
  if (list === null || list.length === 0) return stringifyJson(value);
  const [open, close] = isObject(value) ? '{}' : '[]';
  return `${open}\n${list.map((line) => `${inner}${line}`).join(',\n')}\n${indent}${close}`;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORDS: readonly [string, JsonValue][] = [
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
];
const ESCAPES: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

class Parser {
  private at = 0;
  private depth = 0;
  private values = 0;

  constructor(
    private readonly name: string,
    private readonly text: string,
    private readonly limits: JsonLimits,
  ) {}

  parse(): JsonValue {
    const value = this.value();
    this.space();
    if (this.at < this.text.length) throw this.fault('the end');
    return value;
  }

  private value(): JsonValue {
    if (++this.values > this.limits.values)
      throw new EdgeError('INVALID_FILE', `${this.name}: JSON of more than ${this.limits.values} values`);
    this.space();
    const char = this.text[this.at];
    if (char === '{') return this.nested(() => this.object());
    if (char === '[') return this.nested(() => this.array());
    if (char === '"') return this.string();
    for (const [word, value] of WORDS)
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    NUMBER.lastIndex = this.at;
    const number = NUMBER.exec(this.text)?.[0];
    if (number === undefined) throw this.fault('a value');
    this.at += number.length;
    return Number(number);
  }

  private nested(read: () => JsonValue): JsonValue {
    if (++this.depth > this.limits.depth)
      throw new EdgeError(
        'INVALID_FILE',
        `${this.name}: JSON nested deeper than ${this.limits.depth} levels`,
      );
    this.at++;
    const value = read();
    this.depth--;
    return value;
  }

  private object(): JsonValue {
    const fields: JsonObject = {};
    if (this.next('}')) return fields;
    do {
      this.space();
      if (this.text[this.at] !== '"') throw this.fault('a key in quotes');
      const key = this.string();
      if (Object.hasOwn(fields, key))
        throw new EdgeError(
          'INVALID_FILE',
          `${this.name}: key '${key.slice(0, 100)}' occurs twice in one JSON object`,
        );
      if (!this.next(':')) throw this.fault("':'");
      const value = this.value();
      // An own property whatever the key: '__proto__' is no exception.
      if (key === '__proto__')
        Object.defineProperty(fields, key, { value, enumerable: true, writable: true, configurable: true });
      else fields[key] = value;
    } while (this.next(','));
    if (!this.next('}')) throw this.fault("',' or '}'");
    return wrappedFloat(fields) ?? fields;
  }

  private array(): JsonValue {
    const items: JsonValue[] = [];
    if (this.next(']')) return items;
    do items.push(this.value());
    while (this.next(','));
    if (!this.next(']')) throw this.fault("',' or ']'");
    return items;
  }

  private string(): string {
    let out = '';
    let from = ++this.at;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code === 0x22) break;
      if (!(code >= 0x20)) throw this.fault('a string that ends in quotes'); // NaN at the end
      if (code !== 0x5c) {
        this.at++;
        continue;
      }
      out += this.text.slice(from, this.at) + this.escape();
      from = this.at;
    }
    return out + this.text.slice(from, this.at++);
  }

  private escape(): string {
    const char = this.text[this.at + 1] ?? '';
    if (char === 'u') {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.fault('an escape of four hexadecimal digits');
      this.at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const plain = ESCAPES[char];
    if (plain === undefined) throw this.fault('an escape that JSON knows');
    this.at += 2;
    return plain;
  }

  /** Is `char` next, spaces aside? Then it is taken. */
  private next(char: string): boolean {
    this.space();
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private fault(expected: string): EdgeError {
    const found = this.text.slice(this.at, this.at + 20);
    return new EdgeError(
      'INVALID_FILE',
      `${this.name}: JSON is damaged at character ${this.at}: expected ${expected}, ` +
        `found ${found === '' ? 'the end' : JSON.stringify(found)}`,
    );
  }
}

/** `{"__float__": "Infinity"}`, as transformers writes it. */
function wrappedFloat(fields: JsonObject): number | null {
  const text = fields.__float__;
  if (typeof text !== 'string' || Object.keys(fields).length !== 1) return null;
  const word = WORDS.find(([word, value]) => word === text && typeof value === 'number');
  return word ? (word[1] as number) : null;
}

function kind(value: JsonValue): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
