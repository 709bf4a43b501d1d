/** Multiple-choice tasks as the LM Evaluation Harness defines them: what is asked, and which text is scored after it. */
import { EdgeError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { isObject } from '../weights/json.ts';

/** One question: each choice's log-likelihood is that of its continuation after its context. */
export interface Example {
  choices: readonly { context: string; continuation: string }[];
  lengths: readonly number[]; // characters of each choice's own text, for acc_norm
  gold: number;
}

export interface Task {
  name: string;
  title: string;
  metric: 'acc' | 'acc_norm'; // what a table shows; both are computed
  file: string; // begins so, without .jsonl[.gz]
  shots?: { file: string; count: number; by: string };
  read(row: Row): Example;
}

/** Fields of a line, checked by name. */
export class Row {
  constructor(
    readonly where: string,
    private readonly fields: JsonObject,
    readonly shots: string = '',
  ) {}

  text(key: string): string {
    return this.nonEmpty(key, this.fields[key]);
  }

  texts(key: string, nested?: string): string[] {
    const outer = this.fields[key];
    const value = nested === undefined ? outer : isObject(outer) ? outer[nested] : undefined;
    const name = nested ? `${key}.${nested}` : key;
    if (!Array.isArray(value) || value.length < 2)
      throw this.fault(name, 'a list of at least two texts', value);
    return value.map((item, i) => this.nonEmpty(`${name}[${i}]`, item));
  }

  index(key: string, below: number): number {
    const value = this.fields[key];
    const index = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < below) return index;
    throw this.fault(key, `an integer from 0 to ${below - 1}`, value);
  }

  fault(key: string, expected: string, found: JsonValue | undefined): EdgeError {
    const shown = found === undefined ? 'nothing' : JSON.stringify(found).slice(0, 60);
    return new EdgeError('INVALID_FILE', `${this.where}: field '${key}' must be ${expected}, found ${shown}`);
  }

  private nonEmpty(name: string, value: JsonValue | undefined): string {
    if (typeof value === 'string' && value.trim() !== '') return value;
    throw this.fault(name, 'a text that is not empty', value);
  }
}

/** One context, and a choice after a space. */
const afterSpace = (context: string, choices: readonly string[], gold: number): Example => ({
  choices: choices.map((choice) => ({ context, continuation: ` ${choice}` })),
  lengths: choices.map((choice) => [...choice].length),
  gold,
});

/** Choices with labels, as AI2 writes them. */
function labelled(row: Row, context: string): Example {
  const texts = row.texts('choices', 'text');
  const gold = row.texts('choices', 'label').indexOf(row.text('answerKey'));
  if (gold < 0 || gold >= texts.length)
    throw row.fault('answerKey', 'one of choices.label', row.text('answerKey'));
  return afterSpace(context, texts, gold);
}

const arc = (name: string, title: string): Task => ({
  name,
  title,
  metric: 'acc_norm',
  file: name,
  read: (row) => labelled(row, `Question: ${row.text('question')}\nAnswer:`),
});

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/** Question and lettered choices of MMLU. */
function lettered(row: Row): { question: string; choices: string[]; gold: number } {
  const choices = row.texts('choices');
  const lines = choices.map((choice, i) => `${'ABCD'[i]}. ${choice}`);
  if (choices.length !== 4) throw row.fault('choices', 'four texts', choices);
  return {
    question: `${row.text('question').trim()}\n${lines.join('\n')}\nAnswer:`,
    choices: ['A', 'B', 'C', 'D'],
    gold: row.index('answer', 4),
  };
}

export const TASKS: readonly Task[] = [
  {
    name: 'copa',
    title: 'COPA',
    metric: 'acc',
    file: 'copa',
    read(row) {
      const kind = row.text('question');
      if (kind !== 'cause' && kind !== 'effect') throw row.fault('question', "'cause' or 'effect'", kind);
      const connector = kind === 'cause' ? 'because' : 'therefore';
      const choices = [row.text('choice1'), row.text('choice2')].map(lowerFirst);
      return afterSpace(
        `${row.text('premise').trim().slice(0, -1)} ${connector}`,
        choices,
        row.index('label', 2),
      );
    },
  },
  {
    name: 'hellaswag',
    title: 'HellaSwag',
    metric: 'acc_norm',
    file: 'hellaswag',
    read(row) {
      const endings = row.texts('endings');
      return afterSpace(row.text('context'), endings, row.index('label', endings.length));
    },
  },
  {
    name: 'piqa',
    title: 'PIQA',
    metric: 'acc_norm',
    file: 'piqa',
    read: (row) =>
      afterSpace(
        `Question: ${row.text('goal')}\nAnswer:`,
        [row.text('sol1'), row.text('sol2')],
        row.index('label', 2),
      ),
  },
  arc('arc_easy', 'ARC-e'),
  arc('arc_challenge', 'ARC-c'),
  {
    name: 'winogrande',
    title: 'WinoGrande',
    metric: 'acc',
    file: 'winogrande',
    read(row) {
      const sentence = row.text('sentence');
      const at = sentence.indexOf('_');
      if (at < 0) throw row.fault('sentence', "a text with a '_'", sentence);
      const continuation = ` ${sentence.slice(at + 1).trim()}`;
      const options = [row.text('option1'), row.text('option2')];
      const answer = row.text('answer');
      if (answer !== '1' && answer !== '2') throw row.fault('answer', "'1' or '2'", answer);
      return {
        choices: options.map((option) => ({ context: sentence.slice(0, at) + option, continuation })),
        lengths: options.map((option) => [...(sentence.slice(0, at) + option)].length),
        gold: Number(answer) - 1,
      };
    },
  },
  {
    name: 'openbookqa',
    title: 'OpenBookQA',
    metric: 'acc_norm',
    file: 'openbookqa',
    read: (row) => labelled(row, row.text('question_stem')),
  },
  {
    name: 'mmlu',
    title: 'MMLU (5-shot)',
    metric: 'acc',
    file: 'mmlu.test',
    shots: { file: 'mmlu.dev', count: 5, by: 'subject' },
    read(row) {
      const { question, choices, gold } = lettered(row);
      const subject = row.text('subject').replaceAll('_', ' ');
      const introduction = `The following are multiple choice questions (with answers) about ${subject}.\n\n`;
      return afterSpace(introduction + row.shots + question, choices, gold);
    },
  },
];

/** A solved example, as it stands before the question. */
export function shot(row: Row): string {
  const { question, choices, gold } = lettered(row);
  return `${question} ${choices[gold]}\n\n`;
}
