import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Model } from '../../src/api/model.ts';
import type { Session } from '../../src/api/session.ts';
import { EdgeError, load } from '../../src/index.ts';
import { NANO } from './models.ts';

/** Things that people hand over by mistake; made anew for each call, as some can be used once. */
const WRONG: Record<string, () => unknown> = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  zero: () => 0,
  'a negative number': () => -1,
  'a fraction': () => 1.7,
  NaN: () => Number.NaN,
  infinity: () => Number.POSITIVE_INFINITY,
  'a number beyond 32 bits': () => 2 ** 32 + 5,
  'a bigint': () => 1n,
  'no text': () => '',
  'a text': () => 'abc',
  'half a character': () => '\ud800',
  'a symbol': () => Symbol('s'),
  'a function': () => () => 1,
  'a class': () => Date,
  'an object': () => ({}),
  'an object without a prototype': () => Object.create(null),
  'an unknown name': () => ({ unknown: 1 }),
  'a signal that is none': () => ({ signal: {} }),
  'a signal of null': () => ({ signal: null }),
  'a text as signal': () => ({ signal: 'abort' }),
  'no list': () => [],
  'a list of null': () => [null],
  'a list of texts': () => ['a', 'b'],
  'a list of fractions': () => [1.7],
  'a list of bigints': () => [1n],
  'a list of a number beyond 32 bits': () => [2 ** 32 + 5],
  'a list with a hole': () => new Array(2),
  'a message': () => ({ role: 'user', content: 'Hi' }),
  'a list of messages': () => [{ role: 'user', content: 'Hi' }],
  'messages that are none': () => ({ messages: 3 }),
  'messages of null': () => ({ messages: [null] }),
  floats: () => new Float32Array([1.5]),
  'bigints of 64 bits': () => new BigInt64Array(1),
  bytes: () => new Uint8Array(5),
  'a buffer': () => new ArrayBuffer(5),
  'a view': () => new DataView(new ArrayBuffer(5)),
  'a map': () => new Map([[1, 2]]),
  'a date': () => new Date(0),
  'a pattern': () => /a/,
  'an error': () => new Error('x'),
  'a promise': () => Promise.resolve('text'),
  'a URL': () => new URL('https://absent.invalid/x'),
  'a file URL': () => new URL('file:///absent/x'),
  'a blob': () => new Blob(['x']),
  'a stream that is read': () => {
    const stream = new ReadableStream();
    stream.getReader();
    return stream;
  },
  'a source of numbers': () => source([1, 2]),
  'a source of null': () => source([null]),
  'a source of objects': () => source([{}]),
  'a source of wrong ids': () => source([[1.7]]),
  'an iterator that is none': () => ({ [Symbol.asyncIterator]: 3 }),
};

async function* source(parts: unknown[]): AsyncGenerator<unknown> {
  yield* parts;
}

type Loose = (...args: unknown[]) => unknown;
const loose = (object: object, name: string): Loose => {
  const method = (object as Record<string, Loose>)[name]!;
  return (...args) => method.apply(object, args);
};

/** Calls of the API, by how they are written; each takes the wrong thing in one place. */
function calls(model: Model, session: Session): Record<string, Loose> {
  const of = (name: string) => loose(model, name);
  const its = (name: string) => loose(session, name);
  const { tokenizer } = model;
  /** As far as the first token: what is right may go on for long. */
  const result = async (generation: unknown) => {
    for await (const _ of generation as AsyncIterable<unknown>) return;
  };
  const short = { maxTokens: 1 };
  return {
    'encode(x)': loose(tokenizer, 'encode'),
    'decode(x)': loose(tokenizer, 'decode'),
    'generate(x)': (x) => result(of('generate')(x, short)),
    'generate(text, x)': (x) => result(of('generate')('a', x)),
    'applyChatTemplate(x)': of('applyChatTemplate'),
    'applyChatTemplate(messages, x)': (x) => of('applyChatTemplate')([{ role: 'user', content: 'a' }], x),
    'session(x)': async (x) => (await (of('session')(x) as Promise<Session>)).close(),
    'session({ from: x })': async (x) => (await (of('session')({ from: x }) as Promise<Session>)).close(),
    'restore(x)': async (x) => (await (of('restore')(x) as Promise<Session>)).close(),
    'restore(bytes, x)': async (x) =>
      (await (of('restore')(await session.save(), x) as Promise<Session>)).close(),
    'logits(x)': (x) => of('logits')(x, { last: 1 }),
    'logits(text, x)': (x) => of('logits')('a', x),
    'logits(text, { last: x })': (x) => of('logits')('a', { last: x }),
    'score(x)': of('score'),
    'score(text, x)': (x) => of('score')('a b', x),
    'scoreContinuations(x, [text])': (x) => of('scoreContinuations')(x, ['a']),
    'scoreContinuations(text, x)': (x) => of('scoreContinuations')('a', x),
    'scoreContinuations(text, [x])': (x) => of('scoreContinuations')('a', [x]),
    'scoreContinuations(text, [text], x)': (x) => of('scoreContinuations')('a', ['b'], x),
    'session.append(x)': its('append'),
    'session.append(text, x)': (x) => its('append')('a', x),
    'session.generate(x)': (x) => result(its('generate')(x, short)),
    'session.generate(text, x)': (x) => result(its('generate')('a', x)),
    'session.rewind(x)': its('rewind'),
    'session.rewind({ position: x })': (x) => its('rewind')({ position: x }),
    'session.rewind({ turn: x })': (x) => its('rewind')({ turn: x }),
    'session.rewind(target, x)': (x) => its('rewind')({ position: 0 }, x),
    'session.fork(x)': async (x) => (await (its('fork')(x) as Promise<Session>)).close(),
    'session.save(x)': its('save'),
    'session.save({ dtype: x })': (x) => its('save')({ dtype: x }),
    'session.saveStream(x)': its('saveStream'),
    'session.saveTo(target, x)': (x) => its('saveTo')(new WritableStream(), x),
    ...Object.fromEntries(
      ['maxTokens', 'temperature', 'topK', 'topP', 'minP', 'repetitionPenalty', 'frequencyPenalty']
        .concat(
          'presencePenalty',
          'logitBias',
          'seed',
          'stop',
          'stopTokens',
          'ignoreEos',
          'logprobs',
          'collect',
        )
        .map((name): [string, Loose] => [
          `generate(text, { ${name}: x })`,
          (x) => result(of('generate')('a', { maxTokens: 1, [name]: x })),
        ]),
    ),
    ...Object.fromEntries(
      ['template', 'tools', 'variables', 'addGenerationPrompt'].map((name): [string, Loose] => [
        `generate({ messages, ${name}: x })`,
        (x) => result(of('generate')({ messages: [{ role: 'user', content: 'a' }], [name]: x }, short)),
      ]),
    ),
  };
}

/** Calls that must say INVALID_ARGUMENT, rather than take something else than what was meant. */
const REFUSED: Record<string, (model: Model, session: Session) => unknown> = {
  'decode()': (model) => loose(model.tokenizer, 'decode')(),
  'decode(null)': (model) => loose(model.tokenizer, 'decode')(null),
  'decode(text)': (model) => loose(model.tokenizer, 'decode')('abc'),
  'decode([1n])': (model) => loose(model.tokenizer, 'decode')([1n]),
  'decode([1.7])': (model) => model.tokenizer.decode([1.7]),
  'decode([NaN])': (model) => model.tokenizer.decode([Number.NaN]),
  'decode([2 ** 32 + 5])': (model) => model.tokenizer.decode([2 ** 32 + 5]),
  'decode([hole])': (model) => model.tokenizer.decode(new Array(1)),
  'rewind(undefined)': (_, session) => loose(session, 'rewind')(),
  'rewind({})': (_, session) => loose(session, 'rewind')({}),
  'rewind({ position, turn })': (_, session) => loose(session, 'rewind')({ position: 0, turn: 0 }),
  'scoreContinuations(text, text)': (model) => loose(model, 'scoreContinuations')('a', 'b'),
  'logits(null)': (model) => loose(model, 'logits')(null),
  'generate(text, null)': (model) =>
    (loose(model, 'generate')('a', null) as ReturnType<Model['generate']>).result(),
  'append(text, { sginal })': (_, session) => loose(session, 'append')('a', { sginal: 1 }),
  'append(text, null)': (_, session) => loose(session, 'append')('a', null),
  'score(text, { signal: {} })': (model) => loose(model, 'score')('a b', { signal: {} }),
  'session(null)': (model) => loose(model, 'session')(null),
  'save(null)': (_, session) => loose(session, 'save')(null),
  'saveTo(a URL of the web)': (_, session) => session.saveTo(new URL('https://absent.invalid/x') as never),
  'saveTo({})': (_, session) => session.saveTo({} as never),
  'load(x, null)': () => loose({ load }, 'load')(NANO, null),
  'load(x, { signal: {} })': () => loose({ load }, 'load')(NANO, { signal: {} }),
  'load(x, { onProgress: 3 })': () => loose({ load }, 'load')(NANO, { onProgress: 3 }),
  'load(x, { worker: 3 })': () => loose({ load }, 'load')(NANO, { worker: 3 }),
  'load(x, { workerUrl: {} })': () => loose({ load }, 'load')(NANO, { workerUrl: {} }),
  'load(x, { download: null })': () => loose({ load }, 'load')(NANO, { download: null }),
};

let model: Model;
let session: Session;

async function failure(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return null;
  } catch (error) {
    return error;
  }
}

describe.each([
  ['in a worker', true],
  ['in place', false],
])('%s', (_, worker) => {
  beforeAll(async () => {
    model = await load(NANO, { threads: 1, worker, maxSessions: 3 });
    session = await model.session();
    await session.append('Once upon a time');
  });
  afterAll(() => model.dispose());

  test('whatever a call is given, it works or says with an EdgeError what is wrong', async () => {
    const faults: string[] = [];
    const all = Object.entries(calls(model, session));
    const chosen = worker ? all : all.filter(([call]) => !call.startsWith('generate(text, {')); // the engine checks these
    for (const [call, run] of chosen)
      for (const [name, make] of Object.entries(WRONG)) {
        const error = await failure(() => run(make()));
        if (error === null) continue;
        if (!(error instanceof EdgeError)) faults.push(`${call}, x = ${name}: not an EdgeError: ${error}`);
        else if (error.code === 'INTERNAL' || error.code === 'WORKER_DIED')
          faults.push(`${call}, x = ${name}: ${error.code}: ${error.message}`);
        else if (error.message.length < 20)
          faults.push(`${call}, x = ${name}: says nothing: ${error.message}`);
      }
    expect(faults).toEqual([]);
    expect((await model.generate('a', { maxTokens: 1 }).result()).tokens.length).toBe(1);
    expect(session.position).toBeGreaterThanOrEqual(0);
  });

  test.each(Object.entries(REFUSED))('%s is refused', async (_, run) => {
    const error = await failure(() => run(model, session));
    expect(error).toBeInstanceOf(EdgeError);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

test('load takes nothing but what it says', async () => {
  const faults: string[] = [];
  const names = [
    'backend',
    'numerics',
    'threads',
    'quantize',
    'maxSessions',
    'maxContext',
    'memoryBudget',
    'chunk',
  ]
    .concat('maxHistory', 'checkpointEvery', 'checkpointBytes', 'cacheBytes', 'spill', 'worker', 'workerUrl')
    .concat('download', 'signal', 'onProgress');
  const attempts: [string, (x: unknown) => unknown][] = [
    ['load(x)', (x) => loose({ load }, 'load')(x instanceof URL ? 'file:///absent' : x)], // asks no network
    ['load(source, x)', (x) => loose({ load }, 'load')('/absent', x)],
    ...names.map((name): [string, (x: unknown) => unknown] => [
      `load(source, { ${name}: x })`,
      (x) => loose({ load }, 'load')('/absent', { worker: false, [name]: x }),
    ]),
  ];
  for (const [call, run] of attempts)
    for (const [name, make] of Object.entries(WRONG)) {
      const error = await failure(() => run(make()));
      if (!(error instanceof EdgeError) || error.code === 'INTERNAL')
        faults.push(`${call}, x = ${name}: ${error}`);
    }
  expect(faults).toEqual([]);
});
