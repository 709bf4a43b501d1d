import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Chat } from '../../src/api/types/index.ts';
import { ChatTemplates } from '../../src/tokenizer/chat_template.ts';
import { TEMPLATE_LIMITS } from '../../src/tokenizer/jinja/limits.ts';
import type { JsonObject, JsonValue } from '../../src/types.ts';
import { CHATML, FALCON, GRANITE } from './templates.ts';

afterEach(() => void vi.restoreAllMocks());

const templates = (chat_template: JsonValue, config: JsonObject = {}) =>
  new ChatTemplates('of a test', { ...config, chat_template });
const TALK = [
  { role: 'user', content: 'Hi!' },
  { role: 'assistant', content: ' Hello. ' },
  { role: 'user', content: 'Who are you?' },
];
const refused = (run: () => unknown, code: string, message: RegExp) => {
  expect(run).toThrowError(message);
  expect(run).toThrowError(expect.objectContaining({ name: 'EdgeError', code }));
};

describe('what templates make of a conversation', () => {
  test('ChatML', () => {
    const rendered =
      '<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n Hello. <|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n';
    expect(templates(CHATML).render({ messages: TALK })).toBe(rendered);
    expect(templates(CHATML).render({ messages: TALK, addGenerationPrompt: true })).toBe(
      `${rendered}<|im_start|>assistant\n`,
    );
  });

  test('macros, namespaces, slices, tools and special tokens', () => {
    const granite = templates(GRANITE, { eos_token: { content: '<|end|>', special: true } });
    const role = (name: string) => `<|start_of_role|>${name}<|end_of_role|>`;
    expect(granite.render({ messages: TALK.slice(0, 1), addGenerationPrompt: true })).toBe(
      `${role('system')}You are helpful.<|end|>\n${role('user')}Hi!<|end|>\n${role('assistant')}`,
    );
    const tools = [{ name: 'clock', parameters: { zone: 'string', hours: [12, 24] } }];
    expect(granite.render({ messages: [{ role: 'system', content: 'Be brief.' }], tools })).toBe(
      `${role('system')}Be brief.\nTools:\n{"name": "clock", "parameters": {"zone": "string", "hours": [12, 24]}}\n<|end|>\n`,
    );
  });

  test('bos where the template has it; replies trimmed', () => {
    expect(
      templates(FALCON, { bos_token: '<s>' }).render({ messages: TALK, addGenerationPrompt: true }),
    ).toBe('<s>User: Hi!\n\nFalcon: Hello.\n\nUser: Who are you?\n\nFalcon:');
    expect(templates(FALCON).render({ messages: TALK.slice(0, 1) })).toBe('User: Hi!\n\n');
  });

  test('whitespace as jinja2 with trim_blocks and lstrip_blocks; variables; dates', () => {
    const render = (template: string, variables = {}) =>
      templates(template).render({ messages: TALK, variables });
    expect(render('a\n  {% if true %}\n  b\n  {% endif %}\nc\n')).toBe('a\n  b\nc');
    expect(render('{{ mood }}{{ absent }}{{ documents is none }}', { mood: 'glad' })).toBe('gladTrue');
    const now = new Date();
    expect(render("{{ strftime_now('%Y-%m-%d %% %q') }}")).toBe(
      `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, '0')}-${String(now.getDate()).padStart(2, '0')} % %q`,
    );
    expect(render("{{ strftime_now('%d %B %Y') }}")).toContain(now.toLocaleString('en', { month: 'long' }));
    expect(render('{% for i in range(3) %}{{ i }}{% endfor %}{{ range(5, 1, -2) }}')).toBe('012[5, 3]');
    expect(
      render(
        '{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}',
      ),
    ).toBe('023');
  });
});

describe('which template', () => {
  const named = templates([
    { name: 'default', template: 'plain' },
    { name: 'tool_use', template: 'with tools' },
    { name: 'rag', template: 'with documents' },
  ]);
  const messages = TALK;

  test('by name; tool_use for tools; one that is given', () => {
    expect(named.size).toBe(3);
    expect(named.render({ messages })).toBe('plain');
    expect(named.render({ messages, tools: [] })).toBe('with tools');
    expect(named.render({ messages, tools: [], template: 'rag' })).toBe('with documents');
    expect(named.render({ messages, template: '{{ messages | length }}' })).toBe('3');
  });

  test('none: what to do', () => {
    refused(
      () => templates(null).render({ messages }),
      'NO_CHAT_TEMPLATE',
      /no chat template.*as `template`/,
    );
    refused(() => named.render({ messages, template: 'rga' }), 'NO_CHAT_TEMPLATE', /'rag', but no 'rga'/);
    const odd = templates([{ name: 'rag', template: 'x' }]);
    refused(() => odd.render({ messages }), 'NO_CHAT_TEMPLATE', /'rag', but no 'default'/);
    expect(templates(null).render({ messages, template: CHATML })).toContain('<|im_start|>');
    for (const entry of [7, [7], [{ name: 'a' }], { template: 'x' }])
      refused(() => templates(entry as JsonValue), 'INVALID_FILE', /chat_template to be a text/);
  });
});

describe('what goes wrong', () => {
  const chat = templates('');
  const run = (template: string, messages: unknown = TALK) => chat.render({ messages, template } as Chat);

  test.each([[null], [[7]], [[{ content: 'x' }]], ['Hi']])('messages that are none: %j', (messages) =>
    refused(() => run('{{ 1 }}', messages), 'INVALID_ARGUMENT', /message/i),
  );

  test('raise_exception says why', () =>
    refused(() => templates(FALCON).render({ messages: TALK.slice(1) }), 'INVALID_ARGUMENT', /Roles must/));

  test.each<[string, string]>([
    ['an open block', '{% if true %}'],
    ['an unknown filter', '{{ 1 | magic }}'],
    ['a call of nothing', '{{ nothing() }}'],
    ['nesting of parentheses', `{{ ${'('.repeat(100_000)}`],
  ])('%s', (_, template) => refused(() => run(template), 'INVALID_FILE', /template given fails/));

  test.each<[string, string, RegExp]>([
    ['its own size', `{{ 1 }}${'x'.repeat(TEMPLATE_LIMITS.source)}`, /characters; at most/],
    ['a large range', '{{ range(1000000000) }}', /range of more/],
    ['an endless range', '{{ range(0, 1, 0) }}', /range of more/],
    ['recursion', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /nests more/],
    [
      'recursion that branches',
      '{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
      /steps/,
    ],
    [
      'loops in loops',
      '{% for a in range(100000) %}{% for b in range(100000) %}{{ b }}{% endfor %}{% endfor %}',
      /steps/,
    ],
    [
      'empty loops',
      '{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}',
      /steps/,
    ],
    [
      'a text that doubles',
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      /characters or values/,
    ],
    [
      'lists of lists',
      '{% set ns = namespace(a=[1, 1]) %}{% for i in range(99) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a | tojson }}',
      /characters or values/,
    ],
    [
      'a namespace in itself',
      '{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = ns %}{{ ns }}',
      /nests more/,
    ],
    ['a long text', "{{ 'x' * 10000000 }}", /characters or values/],
    [
      'a text from a loop',
      `{% set x = '${'x'.repeat(1000)}' %}{% for i in range(100000) %}{{ x }}{% endfor %}`,
      /characters or values/,
    ],
  ])('%s', (_, template, message) => {
    vi.spyOn(performance, 'now').mockReturnValue(0); // a busy machine would reach the time first
    refused(() => run(template), 'INVALID_FILE', message);
  });

  test('its time', () => {
    let seconds = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => 1000 * seconds++);
    refused(() => run('{% for i in range(10000) %}{{ i }}{% endfor %}'), 'INVALID_FILE', /takes longer than/);
  });

  test('a long conversation is none of that', () => {
    const messages = Array.from({ length: 2000 }, (_, i) => ({
      role: i % 2 === 0 ? 'user' : 'assistant',
      content: `Message ${i} `.repeat(50),
    }));
    expect(templates(GRANITE).render({ messages }).length).toBeGreaterThan(1e6);
  });

  test('nothing of JavaScript is in reach', () => {
    for (const name of ['constructor', '__proto__', 'toString'])
      expect(run(`{{ messages.${name} }}{{ messages[0]['${name}'] }}{{ raise_exception.${name} }}`)).toBe('');
    for (const name of ['globalThis', 'process', 'fetch'])
      expect(run(`{{ ${name} is defined }}`)).toBe('False');
  });
});
