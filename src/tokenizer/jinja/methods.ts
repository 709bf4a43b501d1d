import type { Meter } from './limits.ts';
import { str } from './text.ts';
import {
  Callable,
  characters,
  equal,
  itemsOf,
  keyOf,
  lengthOf,
  type Named,
  numberOf,
  Tuple,
  typeOf,
  type Value,
} from './values.ts';

/** White space as Python's `str.strip` and `str.split` know it. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LEADING = new RegExp(`^[${SPACE}]+`);
const TRAILING = new RegExp(`[${SPACE}]+$`);
const WORD = new RegExp(`[^${SPACE}]+`, 'g');
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python ends lines at them
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

/** Arguments of a call by position or by name; `names` are those that the callee has. */
export function bind(
  call: string,
  names: readonly string[],
  args: readonly Value[],
  named: Named,
): (Value | undefined)[] {
  if (args.length > names.length) throw new Error(`${call}() takes at most ${names.length} arguments`);
  for (const name of named.keys())
    if (!names.includes(name)) throw new Error(`${call}() got an unexpected keyword argument '${name}'`);
  return names.map((name, i) => (i < args.length ? args[i] : named.get(name)));
}

export function text(value: Value | undefined, what: string): string {
  if (typeof value === 'string') return value;
  throw new Error(`${what} must be str, not ${value === undefined ? 'left out' : typeOf(value)}`);
}

export function integerOf(value: Value | undefined, absent: number): number {
  if (value === undefined || value === null) return absent;
  const number = numberOf(value);
  if (number === null || !Number.isInteger(number))
    throw new Error(`expected an integer, found ${typeOf(value)}`);
  return number;
}

/** Python's `text.strip(chars)`, on either side or on both. */
export function strip(value: string, set: Value | undefined, sides: 'both' | 'left' | 'right'): string {
  let kept = value;
  if (set === undefined || set === null) {
    if (sides !== 'right') kept = kept.replace(LEADING, '');
    return sides === 'left' ? kept : trimEnd(kept);
  }
  const all = characters(kept);
  const dropped = new Set(characters(text(set, 'strip arg')));
  let [from, to] = [0, all.length];
  if (sides !== 'right') while (from < to && dropped.has(all[from]!)) from++;
  if (sides !== 'left') while (to > from && dropped.has(all[to - 1]!)) to--;
  kept = all.slice(from, to).join('');
  return kept;
}

/** A pattern that ends in `$` tries at each space of the text. */
function trimEnd(value: string): string {
  let end = value.length;
  while (end > 0 && TRAILING.test(value[end - 1]!)) end--;
  return value.slice(0, end);
}

export function splitLines(value: string, keep = false): string[] {
  const lines: string[] = [];
  let from = 0;
  for (const match of value.matchAll(LINE_END)) {
    lines.push(value.slice(from, keep ? match.index + match[0].length : match.index));
    from = match.index + match[0].length;
  }
  if (from < value.length) lines.push(value.slice(from));
  return lines;
}

/** Python's `text.split(sep, maxsplit)`; `right` counts from the end. */
function split(value: string, separator: Value | undefined, most: number, right: boolean): string[] {
  if (separator === undefined || separator === null) return splitWords(value, most, right);
  const sep = text(separator, 'sep');
  if (sep === '') throw new Error('empty separator');
  const parts = value.split(sep);
  if (most < 0 || parts.length <= most + 1) return parts;
  const cut = right ? parts.length - most : most;
  const [head, tail] = [parts.slice(0, cut), parts.slice(cut)];
  return right ? [head.join(sep), ...tail] : [...head, tail.join(sep)];
}

function splitWords(value: string, most: number, right: boolean): string[] {
  const words = [...value.matchAll(WORD)];
  const all = words.map(([word]) => word);
  if (most < 0 || all.length <= most) return all;
  if (most === 0) return [strip(value, undefined, right ? 'right' : 'left')].filter(Boolean);
  if (!right) return [...all.slice(0, most), strip(value.slice(words[most]!.index), undefined, 'left')];
  const last = words[words.length - most]!;
  return [strip(value.slice(0, last.index), undefined, 'right'), ...all.slice(-most)];
}

/** `startswith` and `endswith`: of a text, or of any of a tuple. */
function affix(value: string, wanted: Value | undefined, has: (affix: string) => boolean): boolean {
  if (wanted instanceof Tuple) return wanted.items.some((item) => has(text(item, 'affix')));
  return has(text(wanted, `the affix of ${value.slice(0, 10)}`));
}

export function replaceText(value: string, from: string, to: string, count: number, meter: Meter): string {
  const parts = from === '' ? ['', ...characters(value), ''] : value.split(from);
  const cuts = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  meter.make(value.length + cuts * to.length);
  return (
    parts.slice(0, cuts + 1).join(to) +
    (cuts < parts.length - 1 ? from + parts.slice(cuts + 1).join(from) : '')
  );
}

export function capitalize(value: string): string {
  const [first = '', ...rest] = characters(value);
  return first.toUpperCase() + rest.join('').toLowerCase();
}

/** Python's `text.format(…)`, as far as fields without attributes go. */
function format(value: string, args: readonly Value[], named: Named, meter: Meter): string {
  let next = 0;
  return value.replace(
    /\{\{|\}\}|\{(\w*)(?:![sr])?(?::([^}]*))?\}/g,
    (whole, name: string, spec?: string) => {
      if (whole === '{{' || whole === '}}') return whole[0]!;
      if (spec) throw new Error(`format() knows no format '${spec}' here`);
      const found = name === '' ? args[next++] : /^\d+$/.test(name) ? args[Number(name)] : named.get(name);
      if (found === undefined) throw new Error(`format() has no argument for {${name}}`);
      return str(found, meter);
    },
  );
}

type Method<T> = (self: T, args: readonly Value[], named: Named, meter: Meter) => Value;

const isAll = (pattern: RegExp) => (self: string) => pattern.test(self);
const cased = (self: string, same: (text: string) => string, other: (text: string) => string) =>
  self === same(self) && same(self) !== other(self);
const upper = (self: string) => self.toUpperCase();
const lower = (self: string) => self.toLowerCase();

function padded(side: 'left' | 'right' | 'both'): Method<string> {
  return (self, args, named, meter) => {
    const [width, fill] = bind('pad', ['width', 'fillchar'], args, named);
    const missing = Math.max(0, integerOf(width, 0) - lengthOf(self));
    meter.make(missing);
    const filler = fill === undefined ? ' ' : text(fill, 'fillchar');
    const centre = Math.floor(missing / 2) + (missing & integerOf(width, 0) & 1); // as Python rounds it
    const before = { left: 0, right: missing, both: centre }[side];
    return filler.repeat(before) + self + filler.repeat(missing - before);
  };
}

/** Python's `text.center(width, fillchar)`. */
export const center = padded('both');

function position(find: 'indexOf' | 'lastIndexOf', absent: 'error' | -1): Method<string> {
  return (self, args) => {
    const at = self[find](text(args[0], 'sub'));
    if (at < 0 && absent === 'error') throw new Error('substring not found');
    return at < 0 ? -1 : lengthOf(self.slice(0, at));
  };
}

const TEXT_METHODS: Readonly<Record<string, Method<string>>> = {
  upper,
  lower,
  casefold: lower,
  capitalize,
  title: (self) => self.replace(/\p{L}+/gu, capitalize),
  swapcase: (self) =>
    characters(self)
      .map((c) => (c === upper(c) ? lower(c) : upper(c)))
      .join(''),
  strip: (self, [set]) => strip(self, set, 'both'),
  lstrip: (self, [set]) => strip(self, set, 'left'),
  rstrip: (self, [set]) => strip(self, set, 'right'),
  split: (self, args, named) => {
    const [separator, most] = bind('split', ['sep', 'maxsplit'], args, named);
    return split(self, separator, integerOf(most, -1), false);
  },
  rsplit: (self, args, named) => {
    const [separator, most] = bind('rsplit', ['sep', 'maxsplit'], args, named);
    return split(self, separator, integerOf(most, -1), true);
  },
  splitlines: (self, args, named) =>
    splitLines(self, bind('splitlines', ['keepends'], args, named)[0] === true),
  join: (self, [items], _, meter) => {
    const parts = itemsOf(items ?? null).map((item) => text(item, 'sequence item'));
    meter.make(parts.reduce((sum, part) => sum + part.length + self.length, 0));
    return parts.join(self);
  },
  replace: (self, args, named, meter) => {
    const [from, to, count] = bind('replace', ['old', 'new', 'count'], args, named);
    return replaceText(self, text(from, 'old'), text(to, 'new'), integerOf(count, -1), meter);
  },
  startswith: (self, [wanted]) => affix(self, wanted, (affix) => self.startsWith(affix)),
  endswith: (self, [wanted]) => affix(self, wanted, (affix) => self.endsWith(affix)),
  removeprefix: (self, [affix]) =>
    self.startsWith(text(affix, 'prefix')) ? self.slice((affix as string).length) : self,
  removesuffix: (self, [affix]) =>
    affix !== '' && self.endsWith(text(affix, 'suffix')) ? self.slice(0, -(affix as string).length) : self,
  partition: (self, [separator]) =>
    parted(self, self.indexOf(text(separator, 'sep')), separator as string, [self, '', '']),
  rpartition: (self, [separator]) =>
    parted(self, self.lastIndexOf(text(separator, 'sep')), separator as string, ['', '', self]),
  find: position('indexOf', -1),
  rfind: position('lastIndexOf', -1),
  index: position('indexOf', 'error'),
  rindex: position('lastIndexOf', 'error'),
  count: (self, [part]) => (part === '' ? lengthOf(self) + 1 : self.split(text(part, 'sub')).length - 1),
  isdigit: isAll(/^\p{Nd}+$/u),
  isnumeric: isAll(/^\p{N}+$/u),
  isalpha: isAll(/^\p{L}+$/u),
  isalnum: isAll(/^[\p{L}\p{N}]+$/u),
  isspace: isAll(new RegExp(`^[${SPACE}]+$`)),
  isupper: (self) => cased(self, upper, lower),
  islower: (self) => cased(self, lower, upper),
  ljust: padded('left'),
  rjust: padded('right'),
  center,
  zfill: (self, [width], _, meter) => {
    meter.make(integerOf(width, 0));
    const [sign, digits] = /^[-+]/.test(self) ? [self[0]!, self.slice(1)] : ['', self];
    return sign + digits.padStart(integerOf(width, 0) - sign.length, '0');
  },
  format,
};

function parted(self: string, at: number, separator: string, absent: Value[]): Tuple {
  if (at < 0) return new Tuple(absent);
  return new Tuple([self.slice(0, at), separator, self.slice(at + separator.length)]);
}

type Entries = ReadonlyMap<string | number | boolean | null, Value>;

const DICT_METHODS: Readonly<Record<string, Method<Entries>>> = {
  get: (self, args, named) => {
    if (named.size > 0) throw new Error('dict.get() takes no keyword arguments');
    const [key = null, otherwise = null] = args;
    return self.has(keyOf(key)) ? self.get(keyOf(key))! : otherwise;
  },
  keys: (self) => [...self.keys()],
  values: (self) => [...self.values()],
  items: (self) => [...self].map((entry) => new Tuple(entry)),
  copy: (self) => new Map(self),
};

const LIST_METHODS: Readonly<Record<string, Method<readonly Value[]>>> = {
  index: (self, [value], _, meter) => {
    const at = self.findIndex((item) => equal(item, value ?? null, meter));
    if (at < 0) throw new Error('the value is not in the list');
    return at;
  },
  count: (self, [value], _, meter) => self.filter((item) => equal(item, value ?? null, meter)).length,
  copy: (self) => [...self],
};

/** Methods that would change a value: jinja2's immutable sandbox refuses them, too. */
const CHANGES = new Set(
  'append clear extend insert pop remove reverse sort add discard update setdefault popitem'.split(' '),
);

/** The method of that name, bound to its value; null if there is none. @throws for those that change a value */
export function methodOf(value: Value, name: string, meter: Meter): Callable | null {
  const bound = <T extends Value>(self: T, methods: Readonly<Record<string, Method<T>>>) =>
    Object.hasOwn(methods, name)
      ? new Callable(name, (args, named) => methods[name]!(self, args, named, meter))
      : null;
  if (typeof value === 'string') return bound(value, TEXT_METHODS);
  const isList = Array.isArray(value);
  if ((isList || value instanceof Map) && CHANGES.has(name))
    throw new Error(`access to attribute '${name}' of '${typeOf(value)}' object is unsafe`);
  if (value instanceof Map)
    return bound(value, DICT_METHODS as Readonly<Record<string, Method<typeof value>>>);
  if (isList) return bound(value as readonly Value[], LIST_METHODS);
  return value instanceof Tuple
    ? bound(value, {
        index: (self, ...rest) => LIST_METHODS.index!(self.items, ...rest),
        count: (self, ...rest) => LIST_METHODS.count!(self.items, ...rest),
      })
    : null;
}
