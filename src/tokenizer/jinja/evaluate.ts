import type { Call, Name, Node } from './ast.ts';
import { FILTERS } from './filters.ts';
import type { Meter } from './limits.ts';
import { itemOf, memberOf, undefinedError } from './members.ts';
import { binary, contains, slice } from './operators.ts';
import { loopOf, Scope } from './scope.ts';
import type { Run } from './sequence_filters.ts';
import { TESTS } from './tests.ts';
import { str, Writer } from './text.ts';
import {
  Callable,
  Float,
  itemsOf,
  keyOf,
  type Named,
  Namespace,
  numberOf,
  Tuple,
  truth,
  typeOf,
  Undefined,
  type Value,
} from './values.ts';

const CONSTANTS: Readonly<Record<string, Value>> = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
};

/** `break` and `continue`, on their way to the loop. */
class LoopJump {
  constructor(readonly goesOn: boolean) {}
}

/** Runs parsed templates with the meaning that jinja2 gives them, as transformers sets it up. */
export class Evaluator {
  private readonly run: Run;

  constructor(private readonly meter: Meter) {
    this.run = {
      meter,
      filter: (name, value, args, named) => this.filtered(name, value, args, named),
      test: (name, value, args) => this.tested(name, value, args),
    };
  }

  /** The text of a template. @throws Error that says what is wrong, TemplateLimit */
  render(program: Node, variables: ReadonlyMap<string, Value>): string {
    const scope = new Scope(null);
    for (const [name, value] of variables) scope.set(name, value);
    const out = new Writer(this.meter);
    const jump = this.block((program as Extract<Node, { type: 'Program' }>).body, scope, out);
    if (jump) throw new Error(`${jump.goesOn ? 'continue' : 'break'} outside of a loop`);
    return out.text;
  }

  /** Writes what statements print; tells where a `break` or `continue` ended them. */
  private block(body: readonly Node[], scope: Scope, out: Writer): LoopJump | null {
    for (const node of body) {
      this.meter.spend(1);
      const jump = this.meter.within(() => this.statement(node, scope, out));
      if (jump) return jump;
    }
    return null;
  }

  private statement(node: Node, scope: Scope, out: Writer): LoopJump | null {
    switch (node.type) {
      case 'Comment':
        return null;
      case 'If':
        return this.block(truth(this.value(node.test, scope)) ? node.body : node.alternate, scope, out);
      case 'For':
        this.loop(node, scope, out);
        return null;
      case 'Break':
      case 'Continue':
        return new LoopJump(node.type === 'Continue');
      case 'Set':
        this.set(node, scope);
        return null;
      case 'Macro':
        scope.set(node.name.value, this.macro(node.name.value, node.args, node.body, scope));
        return null;
      case 'CallStatement': {
        const caller = this.macro('caller', node.callerArgs ?? [], node.body, scope);
        out.add(str(this.called(node.call, scope, caller), this.meter));
        return null;
      }
      case 'FilterStatement':
        out.add(str(this.filterOf(node.filter, this.captured(node.body, scope), scope), this.meter));
        return null;
      default:
        out.add(str(this.value(node, scope), this.meter));
        return null;
    }
  }

  private captured(body: readonly Node[], scope: Scope): string {
    const out = new Writer(this.meter);
    this.block(body, new Scope(scope), out);
    return out.text;
  }

  private loop(node: Extract<Node, { type: 'For' }>, scope: Scope, out: Writer): void {
    const { loopvar, iterable } = node;
    const filter = iterable.type === 'SelectExpression' ? iterable : null;
    const all = itemsOf(this.value(filter ? filter.lhs : iterable, scope));
    this.meter.spend(all.length);
    const fits = (item: Value) => {
      const inner = new Scope(scope);
      this.assign(loopvar, item, inner);
      return truth(this.value(filter!.test, inner));
    };
    const items = filter ? all.filter(fits) : all;
    for (const [i, item] of items.entries()) {
      const inner = new Scope(scope);
      inner.set('loop', loopOf(items, i));
      this.assign(loopvar, item, inner);
      if (this.block(node.body, inner, out)?.goesOn === false) break;
    }
    if (items.length === 0) this.block(node.defaultBlock, new Scope(scope), out);
  }

  private set(node: Extract<Node, { type: 'Set' }>, scope: Scope): void {
    const { assignee } = node;
    if (node.value) {
      this.assign(assignee, this.value(node.value, scope), scope);
      return;
    }
    const text = this.captured(node.body, scope);
    const apply = (target: Node): Value =>
      target.type === 'FilterExpression' ? this.filterOf(target.filter, apply(target.operand), scope) : text;
    let target: Node = assignee;
    while (target.type === 'FilterExpression') target = target.operand;
    this.assign(target, apply(assignee), scope);
  }

  private assign(target: Node, value: Value, scope: Scope): void {
    if (target.type === 'Identifier') {
      scope.set(target.value, value);
      return;
    }
    if (target.type === 'TupleLiteral') {
      const items = itemsOf(value);
      if (items.length !== target.value.length)
        throw new Error(`${items.length} values cannot be unpacked into ${target.value.length} names`);
      for (const [i, part] of target.value.entries()) this.assign(part, items[i]!, scope);
      return;
    }
    if (target.type !== 'MemberExpression' || target.property.type !== 'Identifier')
      throw new Error('only names and attributes of a namespace can be set');
    const space = this.value(target.object, scope);
    if (!(space instanceof Namespace)) throw new Error('cannot assign attribute on non-namespace object');
    space.fields.set(target.property.value, value);
  }

  private macro(name: string, parameters: readonly Node[], body: readonly Node[], scope: Scope): Callable {
    return new Callable(name, (args, named) => {
      const inner = new Scope(scope);
      const rest = new Map(named);
      for (const [i, parameter] of parameters.entries()) {
        const key = parameter.type === 'KeywordArgumentExpression' ? parameter.key : (parameter as Name);
        let value = args[i];
        if (value === undefined && rest.has(key.value)) value = rest.get(key.value)!;
        if (value !== undefined) rest.delete(key.value);
        else if (parameter.type === 'KeywordArgumentExpression') value = this.value(parameter.value, inner);
        inner.set(key.value, value === undefined ? new Undefined(key.value) : value);
      }
      const caller = rest.get('caller');
      if (caller !== undefined) inner.set('caller', caller);
      rest.delete('caller');
      inner.set('varargs', new Tuple(args.slice(parameters.length)));
      inner.set('kwargs', rest);
      return this.meter.within(() => {
        const out = new Writer(this.meter);
        this.block(body, inner, out);
        return out.text;
      });
    });
  }

  private value(node: Node, scope: Scope): Value {
    this.meter.spend(1);
    return this.meter.within(() => this.expression(node, scope));
  }

  private expression(node: Node, scope: Scope): Value {
    switch (node.type) {
      case 'StringLiteral':
      case 'IntegerLiteral':
        return node.value;
      case 'FloatLiteral':
        return new Float(node.value);
      case 'ArrayLiteral':
        return node.value.map((item) => this.value(item, scope));
      case 'TupleLiteral':
        return new Tuple(node.value.map((item) => this.value(item, scope)));
      case 'ObjectLiteral':
        return new Map(
          [...node.value].map(([key, item]) => [keyOf(this.value(key, scope)), this.value(item, scope)]),
        );
      case 'Identifier': {
        if (Object.hasOwn(CONSTANTS, node.value)) return CONSTANTS[node.value]!;
        const found = scope.get(node.value);
        return found === undefined ? new Undefined(node.value) : found;
      }
      case 'MemberExpression':
        return this.member(node, scope);
      case 'CallExpression':
        return this.called(node, scope, null);
      case 'UnaryExpression':
        return this.unary(node.operator.value, this.value(node.argument, scope));
      case 'BinaryExpression':
        return this.operation(node, scope);
      case 'FilterExpression':
        return this.filterOf(node.filter, this.value(node.operand, scope), scope);
      case 'TestExpression':
        return this.tested(node.test.value, this.value(node.operand, scope), []) !== node.negate;
      case 'SelectExpression':
        return truth(this.value(node.test, scope)) ? this.value(node.lhs, scope) : new Undefined('');
      case 'Ternary':
        return this.value(truth(this.value(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
      default:
        throw new Error(`${node.type} is no expression`);
    }
  }

  private unary(operator: string, value: Value): Value {
    if (operator === 'not') return !truth(value);
    const number = numberOf(value);
    if (number === null) throw new Error(`bad operand type for unary ${operator}: '${typeOf(value)}'`);
    const result = operator === '-' ? -number : number;
    return value instanceof Float ? new Float(result) : result + 0;
  }

  private operation(node: Extract<Node, { type: 'BinaryExpression' }>, scope: Scope): Value {
    const left = this.value(node.left, scope);
    const operator = node.operator.value;
    if (operator === 'and') return truth(left) ? this.value(node.right, scope) : left;
    if (operator === 'or') return truth(left) ? left : this.value(node.right, scope);
    const right = this.value(node.right, scope);
    if (operator === 'in') return contains(right, left, this.meter);
    if (operator === 'not in') return !contains(right, left, this.meter);
    return binary(operator, left, right, this.meter);
  }

  private member(node: Extract<Node, { type: 'MemberExpression' }>, scope: Scope): Value {
    const object = this.value(node.object, scope);
    const { property } = node;
    if (property.type === 'SliceExpression') {
      const [start, stop, step] = [property.start, property.stop, property.step].map((part) =>
        part ? this.value(part, scope) : null,
      );
      return slice(object, start!, stop!, step!);
    }
    if (node.computed) return itemOf(object, this.value(property, scope), this.meter);
    return property.type === 'IntegerLiteral'
      ? itemOf(object, property.value, this.meter)
      : memberOf(object, (property as Name).value, this.meter);
  }

  private called(node: Call, scope: Scope, caller: Callable | null): Value {
    const callee = this.value(node.callee, scope);
    const [args, named] = this.args(node.args, scope);
    if (callee instanceof Undefined) throw undefinedError(callee);
    if (!(callee instanceof Callable)) throw new Error(`'${typeOf(callee)}' object is not callable`);
    return callee.call(args, caller ? new Map([...named, ['caller', caller as Value]]) : named);
  }

  private args(nodes: readonly Node[], scope: Scope): [Value[], Map<string, Value>] {
    const args: Value[] = [];
    const named = new Map<string, Value>();
    for (const node of nodes) {
      if (node.type === 'KeywordArgumentExpression') named.set(node.key.value, this.value(node.value, scope));
      else if (node.type === 'SpreadExpression') args.push(...itemsOf(this.value(node.argument, scope)));
      else if (node.type === 'KeywordSpreadExpression') {
        const more = this.value(node.argument, scope);
        if (!(more instanceof Map)) throw new Error('argument after ** must be a mapping');
        for (const [key, value] of more) named.set(String(key), value);
      } else args.push(this.value(node, scope));
    }
    return [args, named];
  }

  private filterOf(filter: Name | Call, value: Value, scope: Scope): Value {
    if (filter.type === 'Identifier') return this.filtered(filter.value, value, [], new Map());
    const [args, named] = this.args(filter.args, scope);
    return this.filtered((filter.callee as Name).value, value, args, named);
  }

  private filtered(name: string, value: Value, args: readonly Value[], named: Named): Value {
    if (!Object.hasOwn(FILTERS, name)) throw new Error(`No filter named '${name}'`);
    return FILTERS[name]!(this.run, value, args, named);
  }

  private tested(name: string, value: Value, args: readonly Value[]): boolean {
    if (!Object.hasOwn(TESTS, name)) throw new Error(`No test named '${name}'`);
    return TESTS[name]!(this.run, value, args);
  }
}
