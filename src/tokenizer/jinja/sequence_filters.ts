import type { Meter } from './limits.ts';
import { itemOf } from './members.ts';
import { bind, integerOf, text } from './methods.ts';
import { str } from './text.ts';
import {
  characters,
  compare,
  equal,
  Float,
  itemsOf,
  keyOf,
  Lazy,
  type Named,
  numberOf,
  Tuple,
  truth,
  typeOf,
  Undefined,
  type Value,
} from './values.ts';

/** The part of the evaluator that filters and tests use, such as other filters and tests. */
export interface Run {
  meter: Meter;
  filter(name: string, value: Value, args: readonly Value[], named: Named): Value;
  test(name: string, value: Value, args: readonly Value[]): boolean;
}

export type Filter = (run: Run, value: Value, args: readonly Value[], named: Named) => Value;

/** `value.a.0.b`, as filters take an attribute: text, or an index. */
function attributeOf(value: Value, path: Value, meter: Meter): Value {
  const keys = typeof path === 'string' ? path.split('.') : [path];
  let found = value;
  for (const key of keys) {
    const index = typeof key === 'string' && /^\d+$/.test(key) ? Number(key) : key;
    const name = found instanceof Map && !found.has(keyOf(index)) ? key : index;
    found = found instanceof Undefined ? found : itemOf(found, name, meter);
  }
  return found;
}

/** Reads an attribute of each item, or the item itself where none is named; `otherwise` stands for one that it lacks. */
function reader({ meter }: Run, attribute: Value | undefined, otherwise?: Value): (item: Value) => Value {
  if (attribute === undefined || attribute === null) return (item) => item;
  return (item) => {
    const found = attributeOf(item, attribute, meter);
    return found instanceof Undefined && otherwise !== undefined ? otherwise : found;
  };
}

/** The key of an item: an attribute of it, in small letters unless case matters. */
function keyMaker(run: Run, attribute: Value | undefined, caseSensitive: boolean): (item: Value) => Value {
  const read = reader(run, attribute);
  return (item) => {
    const found = read(item);
    return typeof found === 'string' && !caseSensitive ? found.toLowerCase() : found;
  };
}

function sorted(run: Run, items: readonly Value[], key: (item: Value) => Value, reverse: boolean): Value[] {
  const keyed = items.map((item): [Value, Value] => [key(item), item]);
  keyed.sort(([a], [b]) => (reverse ? compare(b, a, run.meter) : compare(a, b, run.meter)));
  return keyed.map(([, item]) => item);
}

function extreme(sign: 1 | -1): Filter {
  return (run, value, args, named) => {
    const [caseSensitive, attribute] = bind('min', ['case_sensitive', 'attribute'], args, named);
    const key = keyMaker(run, attribute, caseSensitive === true);
    const items = itemsOf(value);
    if (items.length === 0) return new Undefined('');
    return items.reduce((best, item) => (sign * compare(key(item), key(best), run.meter) < 0 ? item : best));
  };
}

/** `select`, `reject`: by a test of the item, or by its truth. */
function selection(wanted: boolean, ofAttribute: boolean): Filter {
  return (run, value, args) => {
    const attribute = ofAttribute ? args[0] : undefined;
    const [test, ...more] = ofAttribute ? args.slice(1) : args;
    const items = itemsOf(value);
    run.meter.spend(items.length);
    const holds = (item: Value) => {
      const looked = ofAttribute ? attributeOf(item, attribute ?? null, run.meter) : item;
      return test === undefined ? truth(looked) : run.test(text(test, 'test'), looked, more);
    };
    return new Lazy(items.filter((item) => holds(item) === wanted));
  };
}

const map: Filter = (run, value, args, named) => {
  const items = itemsOf(value);
  run.meter.spend(items.length);
  if (args.length === 0 && named.has('attribute'))
    return new Lazy(items.map(reader(run, named.get('attribute'), named.get('default'))));
  const [name, ...rest] = args;
  return new Lazy(items.map((item) => run.filter(text(name, 'filter'), item, rest, named)));
};

const groupBy: Filter = (run, value, args, named) => {
  const [attribute, otherwise] = bind('groupby', ['attribute', 'default'], args, named);
  const key = reader(run, attribute, otherwise);
  const folded = (item: Value) => keyMaker(run, undefined, false)(key(item));
  const groups: [Value, Value[]][] = [];
  for (const item of sorted(run, itemsOf(value), folded, false)) {
    const last = groups.at(-1);
    if (last && equal(folded(last[1][0]!), folded(item), run.meter)) last[1].push(item);
    else groups.push([key(item), [item]]);
  }
  return groups.map((group) => new Tuple(group));
};

const batch: Filter = ({ meter }, value, args, named) => {
  const [count, fill] = bind('batch', ['linecount', 'fill_with'], args, named);
  const items = itemsOf(value);
  const size = integerOf(count, 0);
  if (size < 1) throw new Error('batch: the size must be at least 1');
  const rows: Value[][] = [];
  for (let i = 0; i < items.length; i += size) rows.push(items.slice(i, i + size));
  if (fill !== undefined && fill !== null && rows.length > 0) {
    meter.make(size);
    while (rows.at(-1)!.length < size) rows.at(-1)!.push(fill);
  }
  return new Lazy(rows);
};

const dictSort: Filter = (run, value, args, named) => {
  const [caseSensitive = false, by = 'key', reverse = false] = bind(
    'dictsort',
    ['case_sensitive', 'by', 'reverse'],
    args,
    named,
  );
  if (!(value instanceof Map)) throw new Error(`dictsort: '${typeOf(value)}' is no dict`);
  const at = by === 'value' ? 1 : 0;
  const pairs = [...value].map((pair) => new Tuple(pair));
  return sorted(run, pairs, keyMaker(run, at, truth(caseSensitive)), truth(reverse));
};

const unique: Filter = (run, value, args, named) => {
  const [caseSensitive = false, attribute] = bind('unique', ['case_sensitive', 'attribute'], args, named);
  const key = keyMaker(run, attribute, truth(caseSensitive));
  const seen = new Set<unknown>();
  return new Lazy(
    itemsOf(value).filter((item) => {
      const mark = keyOf(key(item));
      run.meter.spend(1);
      return !seen.has(mark) && seen.add(mark);
    }),
  );
};

const sum: Filter = (run, value, args, named) => {
  const [attribute, start = 0] = bind('sum', ['attribute', 'start'], args, named);
  let [total, isFloat] = [numberOf(start) ?? 0, start instanceof Float];
  for (const found of itemsOf(value).map(reader(run, attribute))) {
    const number = numberOf(found);
    if (number === null) throw new Error(`sum: '${typeOf(found)}' is no number`);
    isFloat ||= found instanceof Float;
    total += number;
    run.meter.spend(1);
  }
  return isFloat ? new Float(total) : total;
};

/** Filters that look at a sequence as such. */
export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  attr: ({ meter }, value, [name]) => attributeOf(value, name ?? null, meter),
  batch,
  dictsort: dictSort,
  first: (_, value) => (itemsOf(value).length > 0 ? itemsOf(value)[0]! : new Undefined('')),
  groupby: groupBy,
  items: (_, value) => {
    if (value instanceof Undefined) return new Lazy([]);
    if (!(value instanceof Map)) throw new Error('Can only get item pairs from a mapping.');
    return new Lazy([...value].map((pair) => new Tuple(pair)));
  },
  join: (run, value, args, named) => {
    const { meter } = run;
    const [separator = '', attribute] = bind('join', ['d', 'attribute'], args, named);
    const items = itemsOf(value)
      .map(reader(run, attribute))
      .map((item) => str(item, meter));
    const between = str(separator, meter);
    meter.make(items.reduce((size, item) => size + item.length + between.length, 0));
    return items.join(between);
  },
  last: (_, value) => (itemsOf(value).length > 0 ? itemsOf(value).at(-1)! : new Undefined('')),
  list: ({ meter }, value) => {
    meter.spend(itemsOf(value).length);
    return [...itemsOf(value)];
  },
  map,
  max: extreme(-1),
  min: extreme(1),
  reject: selection(false, false),
  rejectattr: selection(false, true),
  reverse: (_, value) =>
    typeof value === 'string'
      ? characters(value).reverse().join('')
      : new Lazy([...itemsOf(value)].reverse()),
  select: selection(true, false),
  selectattr: selection(true, true),
  slice: (_, value, args, named) => {
    const [count, fill] = bind('slice', ['slices', 'fill_with'], args, named);
    const items = itemsOf(value);
    const slices = integerOf(count, 0);
    if (slices < 1 || slices > 100_000)
      throw new Error('slice: the number of slices must be from 1 to 100,000');
    const [each, more] = [Math.floor(items.length / slices), items.length % slices];
    const start = (i: number) => i * each + Math.min(i, more);
    return new Lazy(
      Array.from({ length: slices }, (_, i): Value => {
        const part = items.slice(start(i), start(i + 1));
        return fill !== undefined && fill !== null && i >= more ? [...part, fill] : part;
      }),
    );
  },
  sort: (run, value, args, named) => {
    const [reverse = false, caseSensitive = false, attribute] = bind(
      'sort',
      ['reverse', 'case_sensitive', 'attribute'],
      args,
      named,
    );
    const items = itemsOf(value);
    run.meter.spend(items.length);
    return sorted(run, items, keyMaker(run, attribute, truth(caseSensitive)), truth(reverse));
  },
  sum,
  unique,
};
