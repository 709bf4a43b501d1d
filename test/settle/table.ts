/**
 * Every call that may wait, against everything that may end it. The same table runs in every runtime, so it imports
 * nothing that runs: what it needs is handed in.
 */
import type { load as Load, Model, ModelSource, Session, Token } from '../../src/index.ts';

export interface Env {
  load: typeof Load;
  source: ModelSource;
  /** A worker that dies when `CHANNEL` says so: see `dyingWorker`. */
  workerUrl: string | URL;
}

/** Where the workers of a table are told to die. */
export const CHANNEL = 'edge-ssm-die';

/** The script of a worker that runs the engine's script until it is told to die. */
export const dyingWorker = (engine: string) => `${engine};
  {
    const channel = new BroadcastChannel('${CHANNEL}');
    channel.onmessage = () => setTimeout(() => { throw new Error('killed by its test'); });
    channel.unref?.();
  }`;

/** Far more than any runtime takes; only what never settles waits so long. */
const NEVER_MS = 30_000;
const SLOTS = 40;
const LONG = new Int32Array(200_000).fill(5);
const ENDLESS = { maxTokens: 1e9, ignoreEos: true };

type Ending = 'abort' | 'leave' | 'close' | 'dispose' | 'death';
const CODES = {
  abort: 'ABORTED',
  leave: 'ABORTED',
  close: 'CLOSED',
  dispose: 'CLOSED',
  death: 'WORKER_DIED',
};

/** A call on its way. `leave` is what a user does who wants no more of it. */
interface Started {
  promises: Promise<unknown>[];
  leave?: () => unknown;
}

interface Call {
  /** Without these it takes no signal, has no iterator, or does not end with its session. */
  ends: readonly Ending[];
  /** It may be over before the end comes: then it need not say so. */
  quick?: boolean;
  start(model: Model, session: Session, options: { signal?: AbortSignal }): Started | Promise<Started>;
}

const ALL: readonly Ending[] = ['abort', 'leave', 'close', 'dispose', 'death'];
const OF_SESSION: readonly Ending[] = ['abort', 'close', 'dispose', 'death'];
const OF_MODEL: readonly Ending[] = ['abort', 'dispose', 'death'];
const LAST: readonly Ending[] = ['dispose', 'death'];

/** Says something, and then nothing any more; it hears no `return()` either. */
async function* quiet<T>(first: T): AsyncGenerator<T> {
  yield first;
  await new Promise(() => {});
}

async function* fast(): AsyncGenerator<number[]> {
  for (;;) yield Array.from({ length: 100 }, () => 5);
}

type Iterator = AsyncGenerator<Token, void, undefined>;
const take = (generation: AsyncIterable<Token>) => generation[Symbol.asyncIterator]() as Iterator;
const one = (promise: Promise<unknown>): Started => ({ promises: [promise] });

/** result() beside an iterator after `count` tokens. */
async function beside(
  generation: AsyncIterable<Token> & { result(): Promise<unknown> },
  count: number,
): Promise<Started> {
  const iterator = take(generation);
  for (let i = 0; i < count; i++) await iterator.next();
  return { promises: [generation.result()], leave: () => iterator.return(undefined) };
}

export const CALLS: Record<string, Call> = {
  'append of a long prompt': { ends: OF_SESSION, start: (_, s, o) => one(s.append(LONG, o)) },
  'append of a stream that is quiet': {
    ends: OF_SESSION,
    start: (_, s, o) => one(s.append(quiet('a dog'), o)),
  },
  'append of a stream without end': { ends: OF_SESSION, start: (_, s, o) => one(s.append(fast(), o)) },
  'next() in a long prompt': {
    ends: ALL,
    start: (_, s, o) => {
      const iterator = take(s.generate(LONG, o));
      return { promises: [iterator.next()], leave: () => iterator.return(undefined) };
    },
  },
  'next() of a model in a long prompt': {
    ends: ['abort', 'leave', 'dispose', 'death'],
    start: (m, _, o) => {
      const iterator = take(m.generate(LONG, o));
      return { promises: [iterator.next()], leave: () => iterator.return(undefined) };
    },
  },
  'result()': { ends: OF_MODEL, start: (m, _, o) => one(m.generate('a', { ...ENDLESS, ...o }).result()) },
  'result() of a session': {
    ends: OF_SESSION,
    start: (_, s, o) => one(s.generate('a', { ...ENDLESS, ...o }).result()),
  },
  'result() beside an iterator that is only taken': {
    ends: ALL,
    start: (_, s, o) => beside(s.generate('a', { ...ENDLESS, ...o }), 0),
  },
  'result() beside a loop that stands still': {
    ends: ALL,
    start: (_, s, o) => beside(s.generate('a', { ...ENDLESS, ...o }), 3),
  },
  'result() of a model beside a loop that stands still': {
    ends: ['abort', 'leave', 'dispose', 'death'],
    start: (m, _, o) => beside(m.generate('a', { ...ENDLESS, ...o }), 3),
  },
  score: { ends: OF_MODEL, start: (m, _, o) => one(m.score(LONG, o)) },
  logits: { ends: OF_MODEL, start: (m, _, o) => one(m.logits(LONG, { last: 1, ...o })) },
  scoreContinuations: { ends: OF_MODEL, start: (m, _, o) => one(m.scoreContinuations(LONG, [[1], [2]], o)) },
  'session from a stream that is quiet': {
    ends: OF_MODEL,
    start: (m, _, o) => one(m.session({ from: quiet(new Uint8Array(8)), ...o })),
  },
  'session from a ReadableStream that is quiet': {
    ends: OF_MODEL,
    start: (m, _, o) => one(m.session({ from: new ReadableStream<Uint8Array>(), ...o })),
  },
  'saveTo a stream that takes nothing': {
    ends: ['abort'], // otherwise it is the target's own business: the bytes are there
    start: (_, s, o) => one(s.saveTo(new WritableStream({ write: () => new Promise(() => {}) }), o)),
  },
  save: { ends: OF_SESSION, quick: true, start: (_, s, o) => one(s.save(o)) },
  fork: { ends: OF_SESSION, quick: true, start: (_, s, o) => one(s.fork(o).then((fork) => fork.close())) },
  rewind: { ends: OF_SESSION, quick: true, start: (_, s, o) => one(s.rewind({ position: 0 }, o)) },
  reset: { ends: ['close', ...LAST], quick: true, start: (_, s) => one(s.reset()) },
  'session.close()': { ends: LAST, quick: true, start: (_, s) => one(s.close()) },
  encode: { ends: LAST, quick: true, start: (m) => one(m.tokenizer.encode('a')) },
  decode: { ends: LAST, quick: true, start: (m) => one(m.tokenizer.decode([1])) },
  stats: { ends: LAST, quick: true, start: (m) => one(m.stats()) },
  recover: { ends: LAST, quick: true, start: (m) => one(m.recover()) },
  selfTest: { ends: LAST, quick: true, start: (m) => one(m.selfTest()) },
};

/** What waits for a slot where all are taken. */
export const WAITING: Record<string, Call> = {
  'next() without a slot': {
    ends: ['abort', 'leave', 'dispose', 'death'],
    start: (m, _, o) => {
      const iterator = take(m.generate('a', o));
      return { promises: [iterator.next()], leave: () => iterator.return(undefined) };
    },
  },
  'result() without a slot': { ends: OF_MODEL, start: (m, _, o) => one(m.generate('a', o).result()) },
  'score without a slot': { ends: OF_MODEL, start: (m, _, o) => one(m.score('a dog', o)) },
  'session() without a slot': { ends: OF_MODEL, start: (m, _, o) => one(m.session(o)) },
};

/** How many cells the table has: those of a load, too. */
export const CELLS =
  2 + [...Object.values(CALLS), ...Object.values(WAITING)].reduce((sum, { ends }) => sum + ends.length, 0);

interface Cell extends Started {
  name: string;
  call: Call;
  session: Session;
  controller: AbortController;
}

async function begin(model: Model, ending: Ending, calls: Record<string, Call>): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const [name, call] of Object.entries(calls)) {
    if (!call.ends.includes(ending)) continue;
    const controller = new AbortController();
    const options = ending === 'abort' ? { signal: controller.signal } : {};
    const session = calls === CALLS ? await model.session() : (null as never);
    const started = await call.start(model, session, options);
    for (const promise of started.promises) promise.catch(() => {});
    cells.push({ name, call, session, controller, ...started });
  }
  return cells;
}

/** Takes every slot that is left, until some wait. */
async function fill(model: Model): Promise<Iterator[]> {
  const holders: Iterator[] = [];
  while ((await model.stats()).waiting === 0) {
    const holder = take(model.generate('a', ENDLESS));
    holder.next().catch(() => {});
    holders.push(holder);
  }
  return holders;
}

const codeOf = (error: unknown) => (error as { code?: string } | null)?.code ?? String(error);

async function outcome(promise: Promise<unknown>): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const never = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('never settles'), NEVER_MS);
  });
  const settled = promise.then((value) => ((value as { done?: boolean })?.done ? 'done' : 'fine'), codeOf);
  const found = await Promise.race([settled, never]);
  clearTimeout(timer);
  return found;
}

async function faultsOf(ending: Ending, cells: readonly Cell[]): Promise<string[]> {
  const faults: string[] = [];
  await Promise.all(
    cells.map(async ({ name, call, promises }) => {
      for (const promise of promises) {
        const found = await outcome(promise);
        const left = ending === 'leave' && found === 'done'; // a next() that was waited for
        if (found === CODES[ending] || left || (call.quick && found === 'fine')) continue;
        faults.push(`${name}, ${ending}: ${found}`);
      }
    }),
  );
  return faults;
}

/** Ends what has begun, one way or the other; afterwards all is free again where that is possible. */
async function walk(
  model: Model,
  ending: Ending,
  end: (cells: Cell[]) => unknown,
): Promise<[string[], number]> {
  const cells = await begin(model, ending, CALLS);
  const holders = await fill(model);
  cells.push(...(await begin(model, ending, WAITING)));
  await model.tokenizer.encode('all calls are on their way');
  end(cells);
  const faults = await faultsOf(ending, cells);
  await Promise.all(holders.map((holder) => holder.return(undefined)));
  const sessions = cells.flatMap(({ session }) => session ?? []);
  if (ending === 'abort' || ending === 'leave')
    for (const { name, session } of cells)
      if (session && (await outcome(session.append([1]))) !== 'fine')
        faults.push(`${name}, ${ending}: not free`);
  for (const session of sessions)
    if ((await outcome(session.close())) !== 'fine') faults.push(`${ending}: close() fails`);
  return [faults, cells.length];
}

/** A file whose bytes never come. */
function silentFile(name: string): File {
  const file = new File([new Uint8Array(4096)], name);
  file.slice = () => ({ arrayBuffer: () => new Promise(() => {}) }) as unknown as Blob;
  return file;
}

function die(): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage('now');
  setTimeout(() => channel.close(), 100);
}

/** A load whose files never come. */
async function walkLoads({ load, workerUrl }: Env): Promise<[string[], number]> {
  const faults: string[] = [];
  for (const ending of ['abort', 'death'] as const) {
    const controller = new AbortController();
    const { signal } = controller;
    let begun = () => {};
    const beginning = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const loading = load(['config.json', 'model.safetensors'].map(silentFile), {
      workerUrl,
      signal,
      onProgress: () => begun(),
    });
    loading.catch(() => begun());
    await beginning;
    if (ending === 'abort') controller.abort();
    else die();
    const found = await outcome(loading);
    if (found !== CODES[ending]) faults.push(`load, ${ending}: ${found}`);
  }
  return [faults, 2];
}

/** The last first: who waits for a slot ends before one comes free. */
function each(cells: readonly Cell[], end: (cell: Cell) => unknown): void {
  for (const cell of [...cells].reverse()) end(cell);
}

/** All cells that are not as they should be, and how many there are. */
export async function settle(env: Env): Promise<{ faults: string[]; cells: number }> {
  const options = { threads: 1, maxSessions: SLOTS, workerUrl: env.workerUrl };
  const open = () => env.load(env.source, options);
  const found: [string[], number][] = [await walkLoads(env)];
  const model = await open();
  found.push(await walk(model, 'abort', (cells) => each(cells, ({ controller }) => controller.abort())));
  found.push(await walk(model, 'leave', (cells) => each(cells, ({ leave }) => leave?.())));
  found.push(await walk(model, 'close', (cells) => each(cells, ({ session }) => session?.close())));
  found.push(await walk(model, 'dispose', () => model.dispose()));
  const mortal = await open();
  found.push(await walk(mortal, 'death', die));
  await mortal.dispose();
  const faults = found.flatMap(([faults]) => faults);
  return { faults, cells: found.reduce((sum, [, cells]) => sum + cells, 0) };
}
