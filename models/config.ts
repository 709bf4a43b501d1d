import { EdgeError } from '../src/errors.ts';
import type { JsonObject, JsonValue } from '../src/types.ts';

/** Does a config say that it is of this class of transformers, or of this model type? */
export function declares(
  { architectures, model_type }: JsonObject,
  className: string,
  type: string,
): boolean {
  return (Array.isArray(architectures) && architectures.includes(className)) || model_type === type;
}

/** Fields of a config by name, checked. Every fault names the field, what it must be and what was found. */
export class Config {
  constructor(
    private readonly architecture: string,
    private readonly fields: JsonObject,
    private readonly path = '',
  ) {}

  /** A nested object; an absent or null one is empty. */
  section(key: string): Config {
    const value = this.fields[key] ?? {};
    if (typeof value !== 'object' || Array.isArray(value)) throw this.invalid(key, 'an object');
    return new Config(this.architecture, value, `${this.path}${key}.`);
  }

  has(key: string): boolean {
    return this.fields[key] !== undefined && this.fields[key] !== null;
  }

  isNull(key: string): boolean {
    return this.fields[key] === null;
  }

  /** A positive integer below 2^31. */
  integer(key: string, fallback?: number): number {
    const value = this.fields[key] ?? fallback;
    if (!isIndex(value) || value < 1 || value >= 2 ** 31)
      throw this.invalid(key, 'a positive integer below 2147483648');
    return value;
  }

  /** A positive integer that divides `n`, which is `what`. */
  divisor(key: string, n: number, what: string, fallback?: number): number {
    const value = this.integer(key, fallback);
    if (n % value !== 0) throw this.invalid(key, `a divisor of ${what}`);
    return value;
  }

  /** A positive integer, or 0 where the field is switched off: absent, null, false or 0. */
  count(key: string): number {
    const value = this.fields[key] ?? 0;
    return value === 0 || value === false ? 0 : this.integer(key);
  }

  /** A positive, finite number. */
  positive(key: string, fallback?: number): number {
    const value = this.fields[key] ?? fallback;
    if (typeof value !== 'number' || !(value > 0 && value < Number.POSITIVE_INFINITY))
      throw this.invalid(key, 'a positive number');
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.fields[key] ?? fallback;
    if (typeof value !== 'boolean') throw this.invalid(key, 'true or false');
    return value;
  }

  text(key: string, fallback: string): string {
    const value = this.fields[key] ?? fallback;
    if (typeof value !== 'string') throw this.invalid(key, 'a string');
    return value;
  }

  /** Is this field the text `value`? */
  isText(key: string, value: string): boolean {
    return this.fields[key] === value;
  }

  /** A list of texts. */
  texts(key: string): string[] {
    const value = this.fields[key];
    if (!Array.isArray(value) || !value.every((text) => typeof text === 'string'))
      throw this.invalid(key, 'a list of texts');
    return value as string[];
  }

  /** `count` positive numbers; all 1 if absent. */
  multipliers(key: string, count: number): number[] {
    const value = this.fields[key] ?? Array.from({ length: count }, () => 1);
    const valid = Array.isArray(value) && value.length === count;
    if (!valid || !value.every((by) => typeof by === 'number' && by > 0 && by < Number.POSITIVE_INFINITY))
      throw this.invalid(key, `${count} positive numbers`);
    return value as number[];
  }

  /** A set of layer indices, each below `count`. */
  layers(key: string, count: number): ReadonlySet<number> {
    const value = this.fields[key] ?? [];
    if (!Array.isArray(value) || !value.every((i) => isIndex(i) && i < count))
      throw this.invalid(key, `a list of layer indices below ${count}`);
    return new Set(value as number[]);
  }

  /** `[min, max]` of dt; null and infinities, however they are spelled, leave it without that limit. */
  dtLimit(key: string): { dtMin: number; dtMax: number } {
    const value = this.fields[key] ?? [null, null];
    const [min, max] = Array.isArray(value) && value.length === 2 ? value : [Number.NaN, Number.NaN];
    const lowest = number(min ?? Number.NEGATIVE_INFINITY);
    const dtMin = lowest === Number.NEGATIVE_INFINITY ? 0 : lowest; // dt is positive
    const dtMax = number(max ?? Number.POSITIVE_INFINITY);
    if (!(dtMin >= 0 && dtMax > dtMin)) throw this.invalid(key, '[min, max] with 0 ≤ min < max');
    return { dtMin, dtMax };
  }

  /** Token ids: a number, a list, or none, as `vocabularyIds`; `fallback` if absent. */
  tokenIds(key: string, vocabSize: number, fallback?: number): number[] {
    const value = this.fields[key] === undefined ? fallback : this.fields[key];
    const ids = vocabularyIds(value ?? [], vocabSize);
    if (ids === 'invalid') throw this.invalid(key, 'null, a token id or a list of them');
    return ids;
  }

  /** Refuses an option that is present with a value other than the supported ones. */
  only(key: string, ...supported: JsonValue[]): void {
    const value = this.fields[key];
    if (value === undefined || value === null || supported.includes(value)) return;
    const wanted = supported.map((option) => JSON.stringify(option)).join(' or ');
    throw this.unsupported(key, `only ${wanted} is`);
  }

  /** Refuses options that no program is written for; switched off (false, 0, null) they do no harm. */
  known(...keys: string[]): void {
    for (const [key, value] of Object.entries(this.fields))
      if (value && !keys.includes(key)) throw this.unsupported(key, `known are ${keys.join(', ')}`);
  }

  /** UNSUPPORTED_MODEL for the value of a field. */
  unsupported(key: string, instead: string): EdgeError {
    return new EdgeError(
      'UNSUPPORTED_MODEL',
      `${this.architecture}: ${this.path}${key} = ${show(this.fields[key])} is not supported; ${instead}`,
    );
  }

  /** INVALID_FILE for the value of a field. */
  invalid(key: string, wanted: string): EdgeError {
    return new EdgeError(
      'INVALID_FILE',
      `${this.architecture}: config field ${this.path}${key} must be ${wanted}, found ${show(this.fields[key])}`,
    );
  }
}

/** A token id or a list of them, without those that no token has: −1, and ids beyond the vocabulary. */
export function vocabularyIds(value: JsonValue, vocabSize: number): number[] | 'invalid' {
  const ids = Array.isArray(value) ? value : [value];
  if (!ids.every((id) => typeof id === 'number' && Number.isSafeInteger(id))) return 'invalid';
  return (ids as number[]).filter((id) => id >= 0 && id < vocabSize);
}

function isIndex(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** A number; infinities also as a text, or as transformers 5 wraps them. NaN for all else. */
function number(value: JsonValue): number {
  if (typeof value === 'number') return value;
  const text = value && typeof value === 'object' && !Array.isArray(value) ? value.__float__ : value;
  const [, sign] = (typeof text === 'string' && /^([+-]?)inf(?:inity)?$/i.exec(text)) || [];
  return sign === undefined ? Number.NaN : sign === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function show(value: JsonValue | undefined): string {
  if (value === undefined) return 'none';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
