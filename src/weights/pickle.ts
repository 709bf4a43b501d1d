import { EdgeError } from '../errors.ts';
import { viewOf } from './bytes.ts';
import { OPCODE_NAMES, Op } from './pickle_opcodes.ts';

/** Limits of a pickle; beyond them, INVALID_FILE. */
export const PICKLE_LIMITS = {
  bytes: 64 * 2 ** 20,
  operations: 4_000_000,
  stringLength: 2 ** 20, // bytes
  memo: 1_000_000,
  dims: 8,
} as const;

/** The value of a restricted pickle: plain data, and the few objects that `Globals` makes. */
export type Pickled = null | boolean | number | string | Tuple | Pickled[] | Dict | Global | object;

export class Tuple {
  constructor(readonly items: readonly Pickled[]) {}
}

export class Dict {
  readonly entries = new Map<Pickled, Pickled>();
}

/** A name that the pickle asks for and that is known. Nothing is looked up anywhere by it. */
export class Global {
  constructor(readonly name: string) {}
}

/** The names that a pickle may ask for, and what calling them gives. */
export interface Globals {
  /** Makes the object for a call; `undefined` refuses the arguments. */
  call(name: string, args: readonly Pickled[]): Pickled | undefined;
  known(name: string): boolean;
  /** The object for a persistent id; `undefined` refuses it. */
  persistent(id: Pickled): Pickled | undefined;
}

const MARK = Symbol('mark');

/**
 * Evaluates a pickle, protocols 2 to 5, without executing anything: literals, containers, and calls of names that
 * `globals` knows. Every other opcode and name is refused, by its name.
 * @throws INVALID_FILE
 */
export function readPickle(file: string, bytes: Uint8Array, globals: Globals): Pickled {
  if (bytes.length > PICKLE_LIMITS.bytes)
    throw new EdgeError(
      'INVALID_FILE',
      `${file} has ${bytes.length} bytes; at most ${PICKLE_LIMITS.bytes} are read`,
    );
  return new Machine(file, bytes, globals).run();
}

class Machine {
  private at = 0;
  private readonly view: DataView;
  private readonly stack: (Pickled | typeof MARK)[] = [];
  private readonly memo = new Map<number, Pickled>();
  private readonly text = new TextDecoder();

  constructor(
    private readonly file: string,
    private readonly bytes: Uint8Array,
    private readonly globals: Globals,
  ) {
    this.view = viewOf(bytes);
  }

  run(): Pickled {
    for (let n = 0; n < PICKLE_LIMITS.operations; n++) {
      const op = this.bytes[this.take(1)]!;
      if (op === Op.STOP) return this.pop();
      if (!this.literal(op) && !this.container(op)) this.object(op);
    }
    throw this.fault(`more than ${PICKLE_LIMITS.operations} operations`);
  }

  /** Operations that put a plain value on the stack, or read what was put there before. */
  private literal(op: number): boolean {
    const { view, stack } = this;
    switch (op) {
      case Op.PROTO: {
        const version = this.u8();
        if (version < 2 || version > 5) throw this.fault(`protocol ${version}; 2 to 5 are read`);
        return true;
      }
      case Op.FRAME:
        this.take(8);
        return true;
      case Op.NONE:
        stack.push(null);
        return true;
      case Op.NEWTRUE:
      case Op.NEWFALSE:
        stack.push(op === Op.NEWTRUE);
        return true;
      case Op.BININT:
        stack.push(view.getInt32(this.take(4), true));
        return true;
      case Op.BININT1:
        stack.push(this.u8());
        return true;
      case Op.BININT2:
        stack.push(view.getUint16(this.take(2), true));
        return true;
      case Op.LONG1:
        stack.push(this.long(this.u8()));
        return true;
      case Op.BINFLOAT:
        stack.push(view.getFloat64(this.take(8)));
        return true;
      case Op.SHORT_BINSTRING:
      case Op.SHORT_BINUNICODE:
        stack.push(this.string(this.u8()));
        return true;
      case Op.BINSTRING:
      case Op.BINUNICODE:
        stack.push(this.string(this.u32()));
        return true;
      default:
        return this.memoized(op);
    }
  }

  private memoized(op: number): boolean {
    switch (op) {
      case Op.MEMOIZE:
        this.remember(this.memo.size);
        return true;
      case Op.BINPUT:
        this.remember(this.u8());
        return true;
      case Op.LONG_BINPUT:
        this.remember(this.u32());
        return true;
      case Op.BINGET:
        this.recall(this.u8());
        return true;
      case Op.LONG_BINGET:
        this.recall(this.u32());
        return true;
      default:
        return false;
    }
  }

  private container(op: number): boolean {
    const { stack } = this;
    switch (op) {
      case Op.MARK:
        stack.push(MARK);
        return true;
      case Op.EMPTY_TUPLE:
        stack.push(new Tuple([]));
        return true;
      case Op.TUPLE1:
      case Op.TUPLE2:
      case Op.TUPLE3: {
        const items = Array.from({ length: op - Op.TUPLE1 + 1 }, () => this.pop());
        stack.push(new Tuple(items.reverse()));
        return true;
      }
      case Op.TUPLE:
        stack.push(new Tuple(this.marked()));
        return true;
      case Op.EMPTY_LIST:
        stack.push([]);
        return true;
      case Op.APPEND:
      case Op.APPENDS: {
        const items = op === Op.APPEND ? [this.pop()] : this.marked();
        const list = this.top();
        if (!Array.isArray(list)) throw this.fault('items for what is no list');
        for (const item of items) list.push(item);
        return true;
      }
      case Op.EMPTY_DICT:
        stack.push(new Dict());
        return true;
      case Op.SETITEM:
      case Op.SETITEMS: {
        const items = op === Op.SETITEM ? [this.pop(), this.pop()].reverse() : this.marked();
        const dict = this.top();
        if (!(dict instanceof Dict) || items.length % 2 !== 0) throw this.fault('items for what is no dict');
        for (let i = 0; i < items.length; i += 2) dict.entries.set(items[i]!, items[i + 1]!);
        return true;
      }
      default:
        return false;
    }
  }

  private object(op: number): void {
    switch (op) {
      case Op.GLOBAL:
        this.global(this.line(), this.line());
        return;
      case Op.STACK_GLOBAL: {
        const [name, module] = [this.pop(), this.pop()];
        if (typeof name !== 'string' || typeof module !== 'string')
          throw this.fault('a name that is no string');
        this.global(module, name);
        return;
      }
      case Op.REDUCE: {
        const [args, callee] = [this.pop(), this.pop()];
        if (!(callee instanceof Global) || !(args instanceof Tuple))
          throw this.fault('a call of what is no name');
        const made = this.globals.call(callee.name, args.items);
        if (made === undefined) throw this.fault(`'${callee.name}' with other arguments than PyTorch's`);
        this.stack.push(made);
        return;
      }
      case Op.BUILD: {
        this.pop(); // attributes of a dict: PyTorch's `_metadata`, which nobody needs
        if (!(this.top() instanceof Dict)) throw this.fault('BUILD of what is no dict');
        return;
      }
      case Op.BINPERSID: {
        const found = this.globals.persistent(this.pop());
        if (found === undefined) throw this.fault("a persistent id that is none of PyTorch's storages");
        this.stack.push(found);
        return;
      }
      default: {
        const name = OPCODE_NAMES[op] ?? `0x${op.toString(16)}`;
        throw this.fault(
          `operation ${name}, which no PyTorch checkpoint of plain tensors needs; it is not executed`,
        );
      }
    }
  }

  private global(module: string, name: string): void {
    const full = `${module}.${name}`;
    if (!this.globals.known(full))
      throw this.fault(
        `asks for '${full.slice(0, 100)}', which is none of the names that plain tensors need; nothing was executed`,
      );
    this.stack.push(new Global(full));
  }

  private pop(): Pickled {
    const value = this.stack.pop();
    if (value === undefined || value === MARK) throw this.fault('a value is missing');
    return value as Pickled;
  }

  private top(): Pickled {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  /** Everything above the last mark. */
  private marked(): Pickled[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) throw this.fault('a mark is missing');
    const items = this.stack.splice(at).slice(1);
    return items as Pickled[];
  }

  private remember(index: number): void {
    if (this.memo.size >= PICKLE_LIMITS.memo) throw this.fault(`more than ${PICKLE_LIMITS.memo} memos`);
    this.memo.set(index, this.top());
  }

  private recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.fault(`memo ${index} is missing`);
    this.stack.push(value);
  }

  private u8(): number {
    return this.bytes[this.take(1)]!;
  }

  private u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  /** A little-endian integer in two's complement. */
  private long(length: number): number {
    const at = this.take(length);
    if (length > 8) throw this.fault(`an integer of ${length} bytes`);
    let value = 0;
    for (let i = length - 1; i >= 0; i--) value = value * 256 + this.bytes[at + i]!;
    if (length > 0 && this.bytes[at + length - 1]! > 127) value -= 256 ** length;
    return value;
  }

  private string(length: number): string {
    if (length > PICKLE_LIMITS.stringLength)
      throw this.fault(`a string of ${length} bytes; at most ${PICKLE_LIMITS.stringLength} are read`);
    const at = this.take(length);
    return this.text.decode(this.bytes.subarray(at, at + length));
  }

  private line(): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw this.fault('it ends too early');
    return this.string(end - this.at + 1).slice(0, -1);
  }

  private take(length: number): number {
    const at = this.at;
    if (length > this.bytes.length - at) throw this.fault('it ends too early');
    this.at += length;
    return at;
  }

  private fault(message: string): EdgeError {
    return new EdgeError(
      'INVALID_FILE',
      `${this.file}: the pickle is refused at byte ${this.at}: ${message}`,
    );
  }
}
