import { describe, expect, test } from 'vitest';
import { Row, shot, TASKS } from '../../src/cli/eval_tasks.ts';
import { EdgeError } from '../../src/errors.ts';
import type { JsonObject } from '../../src/types.ts';

const task = (name: string) => TASKS.find((known) => known.name === name)!;
const read = (name: string, fields: JsonObject, shots = '') =>
  task(name).read(new Row('a.jsonl, line 3', fields, shots));

/** Written from the harness' own task definitions (doc_to_text, doc_to_choice, a space between them). */
describe('what is scored after what', () => {
  test('copa', () => {
    const fields = { premise: 'The man fell. ', choice1: 'He slipped.', choice2: 'It Rained.', label: 0 };
    expect(read('copa', { ...fields, question: 'cause' })).toEqual({
      choices: [
        { context: 'The man fell because', continuation: ' he slipped.' },
        { context: 'The man fell because', continuation: ' it Rained.' },
      ],
      lengths: [11, 10],
      gold: 0,
    });
    expect(read('copa', { ...fields, question: 'effect' }).choices[0]!.context).toBe(
      'The man fell therefore',
    );
  });

  test('hellaswag', () => {
    const example = read('hellaswag', { context: 'Roof: A man', label: 3, endings: ['is é', 'b', 'c', 'd'] });
    expect(example.choices[0]).toEqual({ context: 'Roof: A man', continuation: ' is é' });
    expect([example.gold, ...example.lengths]).toEqual([3, 4, 1, 1, 1]);
  });

  test('piqa, arc, openbookqa', () => {
    expect(read('piqa', { goal: 'To eat?', sol1: 'open', sol2: 'close', label: 1 })).toEqual({
      choices: [
        { context: 'Question: To eat?\nAnswer:', continuation: ' open' },
        { context: 'Question: To eat?\nAnswer:', continuation: ' close' },
      ],
      lengths: [4, 5],
      gold: 1,
    });
    const choices = { text: ['up', 'down', 'left'], label: ['1', '2', '3'] };
    for (const name of ['arc_easy', 'arc_challenge'])
      expect(read(name, { question: 'Where?', choices, answerKey: '3' })).toMatchObject({
        choices: [{ context: 'Question: Where?\nAnswer:', continuation: ' up' }, {}, {}],
        gold: 2,
      });
    expect(read('openbookqa', { question_stem: 'Fish live', choices, answerKey: '1' })).toMatchObject({
      choices: [{ context: 'Fish live', continuation: ' up' }, {}, {}],
      gold: 0,
    });
  });

  test('winogrande: the choices are contexts, what follows them is scored', () => {
    const fields = { sentence: 'Ann beat Bo so _ got a prize.', option1: 'Ann', option2: 'Bo', answer: '1' };
    expect(read('winogrande', fields)).toEqual({
      choices: [
        { context: 'Ann beat Bo so Ann', continuation: ' got a prize.' },
        { context: 'Ann beat Bo so Bo', continuation: ' got a prize.' },
      ],
      lengths: [18, 17],
      gold: 0,
    });
  });

  test('mmlu: introduction, solved examples, question with lettered choices', () => {
    const fields = {
      subject: 'high_school_math',
      question: ' 1+1? ',
      choices: ['1', '2', '3', '4'],
      answer: 1,
    };
    const solved = shot(new Row('dev', fields));
    expect(solved).toBe('1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n');
    const { choices, gold } = read('mmlu', fields, solved);
    expect(choices.map(({ continuation }) => continuation)).toEqual([' A', ' B', ' C', ' D']);
    expect(choices[0]!.context).toBe(
      `The following are multiple choice questions (with answers) about high school math.\n\n${solved}1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:`,
    );
    expect(gold).toBe(1);
  });
});

describe('malformed lines name file, line and field', () => {
  const copa = { premise: 'P.', question: 'cause', choice1: 'a', choice2: 'b', label: 0 };
  test.each<[string, JsonObject, RegExp]>([
    ['copa', {}, /'question' must be a text that is not empty, found nothing/],
    ['copa', { ...copa, label: 2 }, /'label' must be an integer from 0 to 1, found 2/],
    ['copa', { ...copa, label: 'x' }, /'label' must be an integer/],
    ['copa', { ...copa, choice2: ' ' }, /'choice2' must be a text that is not empty/],
    ['copa', { ...copa, question: 'why' }, /'cause' or 'effect', found "why"/],
    ['hellaswag', { context: 'c', label: 0, endings: ['a', 5] }, /'endings\[1\]' must be a text/],
    ['hellaswag', { context: 'c', label: 0, endings: 'a' }, /'endings' must be a list/],
    [
      'arc_easy',
      { question: 'q', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'C' },
      /one of choices.label/,
    ],
    [
      'openbookqa',
      { question_stem: 'q', choices: ['a', 'b'], answerKey: 'A' },
      /'choices.text' must be a list/,
    ],
    [
      'winogrande',
      { sentence: 'no gap', option1: 'a', option2: 'b', answer: '1' },
      /'sentence' must be a text with a '_'/,
    ],
    ['mmlu', { subject: 's', question: 'q', choices: ['a', 'b'], answer: 0 }, /'choices' must be four texts/],
  ])('%s %j', (name, fields, message) => {
    let error: unknown;
    try {
      read(name, fields);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(EdgeError);
    expect(error).toMatchObject({ code: 'INVALID_FILE' });
    expect((error as EdgeError).message).toMatch(message);
    expect((error as EdgeError).message).toMatch(/^a.jsonl, line 3: /);
  });
});
