// WGSL lets a write to a component of a vector touch the whole vector (gpuweb #2112; Metal and D3D12 do): where threads
// share memory, two that write components of one vector race. A GPU on Vulkan stores the component alone, so that no run
// shows it. Here every write to workgroup or storage memory must be of something that is not within a vector or matrix.

type Scope = Map<string, string | null>; // name → type of what is shared; null: something else of that name

const SHARED = /^(workgroup|storage)$/;
const TOKEN = /[A-Za-z_]\w*|\d[\w.]*|\+\+|--|->|&&|\|\||[^\s]/g;
const ASSIGNMENT = /^(\+\+|--|([-+*/%&|^] |< < |> > )?=(?! =))/; // what follows a place that is written

/** The writes in `code` to components of shared vectors and to columns of shared matrices. */
export function componentWrites(code: string): string[] {
  return new Linter(code).run();
}

class Linter {
  private readonly tokens: string[];
  private readonly types = new Map<string, string>(); // aliases
  private readonly members = new Map<string, Map<string, string>>(); // of structs
  private readonly scopes: Scope[] = [new Map()];
  private readonly found: string[] = [];

  constructor(code: string) {
    const bare = code.replace(/\/\/[^\n]*/g, '').replace(/\/\*[\s\S]*?\*\//g, '');
    this.tokens = bare.match(TOKEN) ?? [];
  }

  run(): string[] {
    const { tokens } = this;
    this.readTypes();
    this.readVariables();
    let headed = false; // the scope of the next brace is there: it has a function's parameters, or a loop's variable
    for (let at = 0; at < tokens.length; at++) {
      const token = tokens[at]!;
      if (token === 'fn' || token === 'for') {
        this.scopes.push(token === 'fn' ? this.parameters(at) : new Map());
        headed = true;
      } else if (token === '{') {
        if (!headed) this.scopes.push(new Map());
        headed = false;
      } else if (token === '}') this.scopes.pop();
      else if (/^(let|var|const)$/.test(token) && this.scopes.length > 1) this.declare(at);
      else this.write(at);
    }
    return this.found;
  }

  /** Structs and aliases, wherever they are. */
  private readTypes(): void {
    const { tokens } = this;
    for (let at = 0; at < tokens.length; at++) {
      if (tokens[at] === 'alias') this.types.set(tokens[at + 1]!, this.until(at + 3, ';'));
      if (tokens[at] !== 'struct') continue;
      const members = new Map<string, string>();
      for (let i = at + 3; tokens[i] !== '}'; i++)
        if (tokens[i] === ':') members.set(tokens[i - 1]!, this.until(i + 1, ',}'));
      this.members.set(tokens[at + 1]!, members);
    }
  }

  /** Variables of the module: functions may come before them. */
  private readVariables(): void {
    const { tokens } = this;
    for (let at = 0, depth = 0; at < tokens.length; at++) {
      if (tokens[at] === '{') depth++;
      if (tokens[at] === '}') depth--;
      if (depth > 0 || tokens[at] !== 'var' || tokens[at + 1] !== '<' || !SHARED.test(tokens[at + 2]!))
        continue;
      const name = tokens.indexOf('>', at) + 1;
      this.scopes[0]!.set(tokens[name]!, this.until(name + 2, ';='));
    }
  }

  /** Parameters: pointers may be to what is shared. */
  private parameters(at: number): Scope {
    const { tokens } = this;
    const scope: Scope = new Map();
    const end = this.closing(at + 2);
    for (let i = at + 3; i < end; i++) {
      if (tokens[i] !== ':') continue;
      scope.set(tokens[i - 1]!, pointee(this.until(i + 1, ',)')));
    }
    return scope;
  }

  /** A local: something of its own, or a pointer to what is shared. */
  private declare(at: number): void {
    const { tokens } = this;
    const name = tokens[at + 1] === '<' ? tokens.indexOf('>', at) + 1 : at + 1;
    let value = name + 1;
    while (tokens[value] !== '=' && tokens[value] !== ';') value++;
    const pointed = tokens[value + 1] === '&' ? this.place(value + 2) : null;
    this.scopes.at(-1)!.set(tokens[name]!, pointed?.type ?? null);
  }

  private write(at: number): void {
    const { tokens } = this;
    if (tokens[at - 1] === '.' || tokens[at - 1] === '&') return;
    const place = this.place(at);
    if (!place?.within) return;
    if (ASSIGNMENT.test(tokens.slice(place.end, place.end + 4).join(' ')))
      this.found.push(tokens.slice(at, place.end).join(''));
  }

  /** What is named from `at` on, if it is shared: its type, where its name ends, and whether it is within a vector. */
  private place(at: number): { type: string; end: number; within: boolean } | null {
    const { tokens } = this;
    const token = tokens[at]!;
    if (token === '(') {
      const inner = this.place(at + 1);
      return inner && tokens[inner.end] === ')' ? this.follow(inner, inner.end + 1) : null;
    }
    if (token === '*') return this.place(at + 1);
    const type = /^[A-Za-z_]/.test(token) ? this.lookUp(token) : null;
    return type === null ? null : this.follow({ type, within: false }, at + 1);
  }

  private follow(from: { type: string; within: boolean }, at: number) {
    const { tokens } = this;
    let { type, within } = from;
    let end = at;
    for (;;) {
      type = this.resolve(type);
      if (tokens[end] === '[') {
        within ||= isWhole(type);
        type = elementOf(type);
        end = this.closing(end) + 1;
      } else if (tokens[end] === '.') {
        within ||= isWhole(type);
        type = isWhole(type) ? 'f32' : this.memberOf(type, tokens[end + 1]!);
        end += 2;
      } else return { type, end, within };
    }
  }

  private lookUp(name: string): string | null {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      const type = this.scopes[i]!.get(name);
      if (type !== undefined) return type;
    }
    return null;
  }

  private resolve(type: string): string {
    const known = this.types.get(type);
    return known === undefined ? type : this.resolve(known);
  }

  private memberOf(type: string, name: string): string {
    const member = this.members.get(type)?.get(name);
    if (member === undefined) throw new Error(`no member '${name}' of '${type}'`);
    return member;
  }

  /** Tokens up to one of `ends` outside brackets, as one word. */
  private until(from: number, ends: string): string {
    let depth = 0;
    for (let at = from; ; at++) {
      const token = this.tokens[at]!;
      if (depth === 0 && ends.includes(token)) return this.tokens.slice(from, at).join('');
      if ('<(['.includes(token)) depth++;
      if ('>)]'.includes(token)) depth--;
    }
  }

  /** Where the bracket at `at` closes. */
  private closing(at: number): number {
    let depth = 0;
    for (let end = at; ; end++) {
      if ('([{'.includes(this.tokens[end]!)) depth++;
      if (')]}'.includes(this.tokens[end]!)) depth--;
      if (depth === 0) return end;
    }
  }
}

/** Vectors and matrices. */
function isWhole(type: string): boolean {
  return /^(vec\d|mat\dx\d)/.test(type);
}

/** Of arrays, matrices and vectors. */
function elementOf(type: string): string {
  const [, rows, inner] = type.match(/^mat\dx(\d)<(.*)>$/) ?? [];
  if (rows) return `vec${rows}<${inner}>`;
  if (isWhole(type)) return /^mat\dx(\d)/.test(type) ? 'vec4<f32>' : 'f32';
  if (!type.startsWith('array<')) throw new Error(`not an array: '${type}'`);
  let depth = 0;
  for (let i = 'array<'.length; i < type.length; i++) {
    if ('<('.includes(type[i]!)) depth++;
    if (depth === 0 && ',>'.includes(type[i]!)) return type.slice('array<'.length, i);
    if ('>)'.includes(type[i]!)) depth--;
  }
  throw new Error(`not a type: '${type}'`);
}

/** What a pointer to shared memory points to; null for other types. */
function pointee(type: string): string | null {
  const [, space, rest] = type.match(/^ptr<(\w+),(.*)>$/) ?? [];
  return space && SHARED.test(space) ? elementOf(`array<${rest}>`) : null;
}
