/** Running a task: many examples at a time, results kept as they come. */
import type { Model } from '../api/model.ts';
import { EdgeError } from '../errors.ts';
import { type Appender, openFile, writeFileAtomic } from '../runtime/files.node.ts';
import { isStream, openAppender } from '../runtime/write_file.node.ts';
import type { Example } from './eval_tasks.ts';

/** The result of one example: the log-likelihood of each choice (natural log). */
export interface Outcome {
  task: string;
  index: number;
  logLikelihoods: number[];
}

export interface Accuracy {
  task: string;
  examples: number;
  acc: number;
  accNorm: number; // by characters of the choice
  standardError: number; // of acc
}

/** Outcomes so far, also in a file if one was given: a line each, after a line that says what was evaluated. */
export class Journal {
  private readonly outcomes = new Map<string, Outcome>();

  private constructor(private readonly appender: Appender | null) {}

  /** @throws INVALID_FILE if the file is of another model or another kind; its last line may be cut off */
  static async open(file: string | null, subject: object): Promise<Journal> {
    if (file === null) return new Journal(null);
    const header = JSON.stringify(subject);
    if (await isStream(file)) {
      const journal = new Journal(await openAppender(file));
      await journal.appender!.append(`${header}\n`);
      return journal;
    }
    const outcomes = await readOutcomes(file, header);
    const lines = [header, ...outcomes.map((outcome) => JSON.stringify(outcome))];
    await writeFileAtomic(file, [new TextEncoder().encode(`${lines.join('\n')}\n`)]);
    const journal = new Journal(await openAppender(file));
    for (const outcome of outcomes) journal.remember(outcome);
    return journal;
  }

  async close(): Promise<void> {
    await this.appender?.close();
  }

  get(task: string, index: number): Outcome | undefined {
    return this.outcomes.get(`${task} ${index}`);
  }

  async add(outcome: Outcome): Promise<void> {
    this.remember(outcome);
    await this.appender?.append(`${JSON.stringify(outcome)}\n`);
  }

  private remember(outcome: Outcome): void {
    this.outcomes.set(`${outcome.task} ${outcome.index}`, outcome);
  }
}

/** Reads a file of results; a last line without a newline was cut off and is ignored. @throws INVALID_FILE for any other file */
async function readOutcomes(file: string, header: string): Promise<Outcome[]> {
  const existing = await openFile(file);
  if (!existing) return [];
  const text = new TextDecoder().decode(await existing.read(0, existing.size));
  await existing.close();
  const lines = text.split('\n');
  const [first, ...rest] = lines.length > 1 ? lines.slice(0, -1) : [header];
  if (first !== header || (lines.length === 1 && !header.startsWith(text)))
    throw new EdgeError(
      'INVALID_FILE',
      `${file} holds ${lines[0]!.slice(0, 200)}, expected results of ${header}: choose another --out, or delete it`,
    );
  return rest.map((line, i) => {
    try {
      return JSON.parse(line) as Outcome;
    } catch (cause) {
      throw new EdgeError('INVALID_FILE', `${file}, line ${i + 2}: expected a result as JSON`, { cause });
    }
  });
}

/** Runs what is missing, `batch` examples at a time, and sums up. */
export async function runTask(
  model: Model,
  task: string,
  examples: readonly Example[],
  journal: Journal,
  { batch, onProgress, signal }: { batch: number; onProgress(done: number): void; signal: AbortSignal },
): Promise<Accuracy> {
  let next = 0;
  let done = 0;
  const work = async () => {
    for (let i = next++; i < examples.length; i = next++) {
      signal.throwIfAborted();
      if (!journal.get(task, i)) {
        const logLikelihoods = await likelihoods(model, examples[i]!, signal);
        await journal.add({ task, index: i, logLikelihoods });
      }
      onProgress(++done);
    }
  };
  await Promise.all(Array.from({ length: batch }, work));
  return accuracy(task, examples, journal);
}

/** The log-likelihood of each choice. Choices with the same context share its run. */
async function likelihoods(model: Model, { choices }: Example, signal: AbortSignal): Promise<number[]> {
  const values: number[] = [];
  const contexts = new Map<string, number[]>();
  for (const [i, { context }] of choices.entries())
    contexts.set(context, [...(contexts.get(context) ?? []), i]);
  for (const [context, indices] of contexts) {
    const pairs = await Promise.all(indices.map((i) => split(model, context, choices[i]!.continuation)));
    const scored = await model.scoreContinuations(
      pairs[0]!.context,
      pairs.map(({ continuation }) => continuation),
      { signal },
    );
    for (const [k, i] of indices.entries()) values[i] = scored[k]!.reduce((sum, value) => sum + value, 0);
  }
  return values;
}

/**
 * As the harness tokenizes: a text begins with what the tokenizer puts before one, spaces at the context's end belong to
 * the continuation, and the continuation's ids are what the ids of both together have beyond as many as the context has.
 */
async function split(model: Model, context: string, continuation: string) {
  const options = { addSpecialTokens: true };
  const [before, whole] = await Promise.all([
    model.tokenizer.encode(context.trimEnd(), options),
    model.tokenizer.encode(context + continuation, options),
  ]);
  return { context: before, continuation: whole.slice(before.length) };
}

function accuracy(task: string, examples: readonly Example[], journal: Journal): Accuracy {
  let [plain, normalized] = [0, 0];
  for (const [i, { gold, lengths }] of examples.entries()) {
    const { logLikelihoods } = journal.get(task, i)!;
    if (best(logLikelihoods) === gold) plain++;
    if (best(logLikelihoods.map((value, k) => value / lengths[k]!)) === gold) normalized++;
  }
  const n = examples.length;
  const acc = plain / n;
  return {
    task,
    examples: n,
    acc,
    accNorm: normalized / n,
    standardError: n > 1 ? Math.sqrt((acc * (1 - acc)) / (n - 1)) : 0,
  };
}

/** The first of the largest. */
const best = (values: readonly number[]) => values.indexOf(Math.max(...values));
