import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';

/** Templates come with models from anywhere: what one may take. */
export const TEMPLATE_LIMITS = {
  source: 2 ** 18, // characters of a template
  characters: 2 ** 23, // of a text that it makes, and values of a list
  range: 100_000, // as jinja2's sandbox has it
  steps: 1_000_000, // expressions, statements and rounds of loops
  depth: 400, // of expressions, statements and macros in each other
  milliseconds: 10_000, // for all, whatever they do
} as const;

/** A template went beyond a limit. */
export class TemplateLimit extends Error {}

/** The template's own words: what it gave to `raise_exception`. */
export class TemplateRefusal extends Error {}

export type ParsedTemplate = ReturnType<typeof parse>;
type Value = ReturnType<Interpreter['evaluate']>;
type Statement = Exclude<Parameters<Interpreter['evaluate']>[0], undefined>;

/** @throws Error that says what is wrong, TemplateLimit, RangeError where it nests too deep */
export function parseTemplate(source: string): ParsedTemplate {
  if (source.length > TEMPLATE_LIMITS.source)
    throw new TemplateLimit(`it has ${source.length} characters; at most ${TEMPLATE_LIMITS.source} are read`);
  return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })); // as transformers sets jinja2
}

/** @throws TemplateRefusal, TemplateLimit, and whatever a template without sense earns */
export function runTemplate(template: ParsedTemplate, variables: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  const globals = { range, strftime_now: strftimeNow, raise_exception: refuse };
  const constants = { true: true, false: false, none: null, True: true, False: false, None: null };
  for (const [name, value] of Object.entries({ ...variables, ...globals, ...constants }))
    environment.set(name, value);
  return String(new Meter(environment).run(template).value);
}

/** The interpreter, counting what it does. */
class Meter extends Interpreter {
  private readonly deadline = performance.now() + TEMPLATE_LIMITS.milliseconds;
  private readonly iterated = new WeakSet<object>(); // expressions that loops run over
  private steps = 0;
  private depth = 0;

  override evaluate(...[statement, environment]: Parameters<Interpreter['evaluate']>): Value {
    if (this.depth >= TEMPLATE_LIMITS.depth)
      throw new TemplateLimit(`it nests more than ${TEMPLATE_LIMITS.depth} deep`);
    this.spend(1);
    if (statement?.type === 'For') this.iterated.add(iterableOf(statement));
    this.depth++;
    try {
      const value = super.evaluate(statement, environment);
      requireSmall(value);
      if (statement && this.iterated.has(statement)) this.spend(itemsOf(value.value));
      return value;
    } finally {
      this.depth--;
    }
  }

  private spend(steps: number): void {
    this.steps += steps;
    if (this.steps > TEMPLATE_LIMITS.steps)
      throw new TemplateLimit(`it takes more than ${TEMPLATE_LIMITS.steps} steps`);
    if (performance.now() > this.deadline)
      throw new TemplateLimit(`it takes longer than ${TEMPLATE_LIMITS.milliseconds / 1000} s`);
  }
}

function iterableOf(loop: Statement): object {
  const { iterable } = loop as Statement & { iterable: Statement };
  return iterable.type === 'SelectExpression' ? (iterable as Statement & { lhs: Statement }).lhs : iterable;
}

function itemsOf(value: unknown): number {
  return Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;
}

/** Looks at the characters and values in a value, as often as writing it out meets them. */
function requireSmall(value: Value): void {
  if (typeof value.value !== 'object' && typeof value.value !== 'string') return;
  let size = 0;
  const rest: Value[] = [value];
  for (let next = rest.pop(); next; next = rest.pop()) {
    const inside: unknown = next.value;
    size += typeof inside === 'string' ? inside.length : 1;
    if (size + rest.length > TEMPLATE_LIMITS.characters)
      throw new TemplateLimit(`it makes more than ${TEMPLATE_LIMITS.characters} characters or values`);
    if (Array.isArray(inside)) for (const item of inside) rest.push(item);
    else if (inside instanceof Map) for (const item of inside.values()) rest.push(item);
  }
}

function refuse(message: unknown): never {
  throw new TemplateRefusal(String(message));
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= TEMPLATE_LIMITS.range))
    throw new TemplateLimit(`it asks for a range of more than ${TEMPLATE_LIMITS.range} numbers`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** Python's `datetime.now().strftime` in the C locale. */
function strftimeNow(format: string): string {
  const now = new Date();
  const two = (x: number) => String(x).padStart(2, '0');
  const [month, day] = [MONTHS[now.getMonth()]!, DAYS[now.getDay()]!];
  const fields: Readonly<Record<string, string>> = {
    Y: String(now.getFullYear()),
    y: two(now.getFullYear() % 100),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    H: two(now.getHours()),
    I: two(now.getHours() % 12 || 12),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    p: now.getHours() < 12 ? 'AM' : 'PM',
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    '%': '%',
  };
  return format.replace(/%(.)/g, (whole, field: string) => fields[field] ?? whole);
}
