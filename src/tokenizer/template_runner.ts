import { parse, tokenize } from '@huggingface/jinja';
import type { Node } from './jinja/ast.ts';
import { Evaluator } from './jinja/evaluate.ts';
import { Meter, TEMPLATE_LIMITS, TemplateLimit } from './jinja/limits.ts';
import { strftime } from './jinja/strftime.ts';
import { str } from './jinja/text.ts';
import { Callable, type Named, Namespace, numberOf, toValue, type Value } from './jinja/values.ts';

/** The template's own words: what it gave to `raise_exception`. */
export class TemplateRefusal extends Error {}

export type ParsedTemplate = Node;

/** @throws Error that says what is wrong, TemplateLimit, RangeError where it nests too deep */
export function parseTemplate(source: string): ParsedTemplate {
  if (source.length > TEMPLATE_LIMITS.source)
    throw new TemplateLimit(`it has ${source.length} characters; at most ${TEMPLATE_LIMITS.source} are read`);
  // As transformers sets jinja2. The parser's classes have no types of their own outside the package.
  return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })) as unknown as Node;
}

/** @throws TemplateRefusal, TemplateLimit, and whatever a template without sense earns */
export function runTemplate(template: ParsedTemplate, variables: Readonly<Record<string, unknown>>): string {
  const meter = new Meter();
  const values = Object.entries(variables).map(([name, value]): [string, Value] => [
    name,
    toValue(value, meter),
  ]);
  return new Evaluator(meter).render(template, new Map([...values, ...globals(meter)]));
}

/** The functions that jinja2 and transformers give to every template. */
function globals(meter: Meter): [string, Value][] {
  const functions: Record<string, (args: readonly Value[], named: Named) => Value> = {
    range: (args) => range(args, meter),
    dict: (args, named) => new Map([...(args[0] instanceof Map ? args[0] : []), ...named]),
    namespace: (args, named) => new Namespace(new Map([...textKeys(args[0]), ...named])),
    strftime_now: ([format]) => strftime(new Date(), str(format ?? '', meter)),
    raise_exception: ([message]) => {
      throw new TemplateRefusal(str(message ?? '', meter));
    },
  };
  return Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]);
}

function textKeys(value: Value | undefined): [string, Value][] {
  return value instanceof Map ? [...value].map(([key, item]) => [String(key), item]) : [];
}

function range(args: readonly Value[], meter: Meter): number[] {
  const numbers = args.map(numberOf);
  if (numbers.length < 1 || numbers.length > 3 || numbers.some((n) => !Number.isInteger(n)))
    throw new Error('range() takes one to three integers');
  const [first, second, by = 1] = numbers as number[];
  const [start, stop] = second === undefined ? [0, first!] : [first!, second];
  const count = Math.max(0, Math.ceil((stop - start) / by!));
  if (!(count <= TEMPLATE_LIMITS.range))
    throw new TemplateLimit(`it asks for a range of more than ${TEMPLATE_LIMITS.range} numbers`);
  meter.spend(1);
  return Array.from({ length: count }, (_, i) => start + i * by!);
}
