import { Callable, Namespace, Undefined, type Value } from './values.ts';

/** Names and their values; a name that is not here may be further out. */
export class Scope {
  private readonly names = new Map<string, Value>();

  constructor(private readonly outer: Scope | null) {}

  get(name: string): Value | undefined {
    return this.names.has(name) ? this.names.get(name) : this.outer?.get(name);
  }

  set(name: string, value: Value): void {
    this.names.set(name, value);
  }
}

/** The variable `loop` of a round. */
export function loopOf(items: readonly Value[], i: number): Value {
  const { length } = items;
  return new Namespace(
    new Map<string, Value>([
      ['index', i + 1],
      ['index0', i],
      ['revindex', length - i],
      ['revindex0', length - i - 1],
      ['first', i === 0],
      ['last', i === length - 1],
      ['length', length],
      ['depth', 1],
      ['depth0', 0],
      ['previtem', i > 0 ? items[i - 1]! : new Undefined('previtem')],
      ['nextitem', i < length - 1 ? items[i + 1]! : new Undefined('nextitem')],
      ['cycle', new Callable('cycle', (args) => args[i % args.length] ?? null)],
    ]),
  );
}
