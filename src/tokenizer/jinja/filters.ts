import { json } from './json.ts';
import { bind, capitalize, center, integerOf, replaceText, splitLines, strip, text } from './methods.ts';
import { percent } from './percent.ts';
import { type Filter, SEQUENCE_FILTERS } from './sequence_filters.ts';
import { repr, str } from './text.ts';
import { characters, Float, itemsOf, lengthOf, numberOf, Tuple, truth, typeOf, Undefined } from './values.ts';

const indent: Filter = ({ meter }, value, args, named) => {
  const [width = 4, first = false, blank = false] = bind('indent', ['width', 'first', 'blank'], args, named);
  const margin = typeof width === 'string' ? width : ' '.repeat(Math.min(integerOf(width, 4), 1024));
  const lines = splitLines(`${text(value, 'value')}\n`);
  meter.make(lines.length * margin.length + (value as string).length);
  const shown = lines.map((line, i) => (i > 0 && (line !== '' || truth(blank)) ? margin + line : line));
  return (truth(first) ? margin : '') + shown.join('\n');
};

const round: Filter = (_, value, args, named) => {
  const [precision, method = 'common'] = bind('round', ['precision', 'method'], args, named);
  const number = numberOf(value);
  if (number === null) throw new Error(`round: '${typeOf(value)}' is no number`);
  const scale = 10 ** integerOf(precision, 0);
  if (method === 'common' && typeof value === 'number' && scale >= 1) return value;
  if (method === 'ceil') return new Float(Math.ceil(number * scale) / scale);
  if (method === 'floor') return new Float(Math.floor(number * scale) / scale);
  const scaled = number * scale;
  const even = Math.abs(scaled % 1) === 0.5 ? 2 * Math.round(scaled / 2) : Math.round(scaled);
  return new Float(even / scale);
};

const toJson: Filter = ({ meter }, value, args, named) => {
  const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
  const [ascii = false, level = null, separators = null, sort = false] = bind('tojson', names, args, named);
  const style = {
    ensureAscii: truth(ascii),
    indent:
      level === null
        ? null
        : typeof level === 'string'
          ? level
          : ' '.repeat(Math.min(integerOf(level, 0), 1024)),
    separators:
      separators === null ? null : (itemsOf(separators).map((s) => text(s, 'separator')) as [string, string]),
    sortKeys: truth(sort),
  };
  return json(value, style, meter);
};

const truncate: Filter = (_, value, args, named) => {
  const names = ['length', 'killwords', 'end', 'leeway'];
  const [length = 255, kill = false, end = '...', leeway] = bind('truncate', names, args, named);
  const all = characters(text(value, 'value'));
  const tail = text(end, 'end');
  const most = integerOf(length, 255);
  if (all.length <= most + integerOf(leeway, 5)) return all.join('');
  const cut = all.slice(0, most - lengthOf(tail)).join('');
  if (truth(kill)) return cut + tail;
  const space = cut.lastIndexOf(' ');
  return (space < 0 ? cut : cut.slice(0, space)) + tail;
};

const HTML: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&#39;',
  '"': '&#34;',
};
const escapeHtml: Filter = ({ meter }, value) => str(value, meter).replace(/[&<>'"]/g, (c) => HTML[c]!);
const length: Filter = (_, value) => lengthOf(value);
const absent: Filter = (_, value, args, named) => {
  const [otherwise = '', falsy = false] = bind('default', ['default_value', 'boolean'], args, named);
  return value instanceof Undefined || (truth(falsy) && !truth(value)) ? otherwise : value;
};

const toInt: Filter = (_, value, args, named) => {
  const [otherwise = 0, base = 10] = bind('int', ['default', 'base'], args, named);
  const number = numberOf(value);
  if (number !== null) return Number.isFinite(number) ? Math.trunc(number) + 0 : otherwise;
  if (typeof value !== 'string') return otherwise;
  const digits = strip(value, null, 'both').replace(/_(?=\d)/g, '');
  if (base !== 10) return Number.parseInt(digits.replace(/^0[xob]/i, ''), integerOf(base, 10)) || otherwise;
  if (/^[-+]?\d+$/.test(digits)) return Number(digits) + 0;
  const parsed = Number(digits);
  return digits !== '' && Number.isFinite(parsed) ? Math.trunc(parsed) + 0 : otherwise;
};

const toFloat: Filter = (_, value, args, named) => {
  const [otherwise = new Float(0)] = bind('float', ['default'], args, named);
  const number = typeof value === 'string' ? Number(value) : numberOf(value);
  const unread =
    number === null || Number.isNaN(number) || (typeof value === 'string' && value.trim() === '');
  return unread ? otherwise : new Float(number);
};

/** jinja2's filters, as far as templates of conversations may want them; `tojson` is that of transformers. */
export const FILTERS: Readonly<Record<string, Filter>> = {
  ...SEQUENCE_FILTERS,
  abs: (_, value) =>
    value instanceof Float ? new Float(Math.abs(value.value)) : Math.abs(numberOf(value) ?? Number.NaN),
  capitalize: ({ meter }, value) => capitalize(str(value, meter)),
  center: (run, value, args, named) => {
    const [width = 80] = bind('center', ['width'], args, named);
    return center(str(value, run.meter), [width], new Map(), run.meter);
  },
  count: length,
  d: absent,
  default: absent,
  e: escapeHtml,
  escape: escapeHtml,
  float: toFloat,
  forceescape: escapeHtml,
  format: ({ meter }, value, args, named) =>
    percent(text(value, 'format'), named.size > 0 ? new Map(named) : new Tuple(args), meter),
  indent,
  int: toInt,
  length,
  lower: ({ meter }, value) => str(value, meter).toLowerCase(),
  pprint: ({ meter }, value) => repr(value, meter),
  replace: ({ meter }, value, args, named) => {
    const [from, to, count] = bind('replace', ['old', 'new', 'count'], args, named);
    return replaceText(
      str(value, meter),
      str(from ?? '', meter),
      str(to ?? '', meter),
      integerOf(count, -1),
      meter,
    );
  },
  round,
  safe: (_, value) => value,
  string: ({ meter }, value) => str(value, meter),
  title: ({ meter }, value) =>
    str(value, meter)
      .split(/([-\s({[<]+)/)
      .map(capitalize)
      .join(''),
  tojson: toJson,
  trim: ({ meter }, value, args, named) =>
    strip(str(value, meter), bind('trim', ['chars'], args, named)[0], 'both'),
  truncate,
  upper: ({ meter }, value) => str(value, meter).toUpperCase(),
  urlencode: ({ meter }, value) =>
    encodeURIComponent(str(value, meter))
      .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll('%2F', '/'),
  wordcount: ({ meter }, value) => str(value, meter).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0,
};
