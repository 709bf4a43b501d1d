import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type ParsedTemplate, parseTemplate, runTemplate } from '../../src/tokenizer/template_runner.ts';
import { obstacleIn } from '../helpers/provided.ts';
import { conversations, EXPRESSIONS, TEMPLATES, VARIABLES } from './jinja_cases.ts';
import * as families from './templates.ts';

interface Case {
  template: string;
  variables: Record<string, unknown>;
}
type Outcome = { text: string } | { error: string };

const NOW = [2026, 2, 3, 4, 5, 6]; // year, month, day, hour, minute, second
const PYTHON = '/usr/bin/python3'; // Debian's, whose packages scripts/setup.sh installs

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const [year, month, ...rest] = NOW as [number, number, number, number, number, number];
  vi.setSystemTime(new Date(year, month - 1, ...rest));
});
afterEach(() => void vi.useRealTimers());

/** What jinja2 makes of them. */
function oracle(cases: readonly Case[]): Outcome[] {
  const script = fileURLToPath(new URL('jinja_oracle.py', import.meta.url));
  const input = JSON.stringify({ now: NOW, cases });
  const { stdout, stderr, status } = spawnSync(PYTHON, [script], {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`jinja2 failed: ${stderr}`);
  return JSON.parse(stdout);
}

const known = new Map<string, ParsedTemplate>();

function ours({ template, variables }: Case): Outcome {
  try {
    const parsed = known.get(template) ?? parseTemplate(template);
    known.set(template, parsed);
    return { text: runTemplate(parsed, variables) };
  } catch (error) {
    return { error: String(error) };
  }
}

/** Both give the same text, or both refuse. */
function compare(cases: readonly Case[]): void {
  const wrong = oracle(cases).flatMap((theirs, i) => {
    const own = ours(cases[i]!);
    if ('error' in theirs && 'error' in own) return [];
    return 'text' in theirs && 'text' in own && theirs.text === own.text
      ? []
      : [{ template: cases[i]!.template.slice(0, 200), theirs, own }];
  });
  expect(wrong).toEqual([]);
}

test('expressions, statements and functions are those of jinja2', (context) => {
  obstacleIn(context, 'python3-jinja2', () =>
    readFileSync('/usr/lib/python3/dist-packages/jinja2/__init__.py'),
  );
  const sources = [...EXPRESSIONS.map((expression) => `{{ ${expression} }}`), ...TEMPLATES];
  compare(sources.map((template) => ({ template, variables: VARIABLES })));
});

test('sixty conversations in the templates of the families read as with transformers', (context) => {
  obstacleIn(context, 'python3-jinja2', () =>
    readFileSync('/usr/lib/python3/dist-packages/jinja2/__init__.py'),
  );
  const cases = Object.values(families).flatMap((template) =>
    conversations().map(({ messages, tools, more }) => ({
      template,
      variables: { documents: null, bos_token: '<s>', eos_token: '</s>', ...more, messages, tools },
    })),
  );
  expect(cases.length).toBeGreaterThanOrEqual(60 * 8);
  compare(cases);
});
