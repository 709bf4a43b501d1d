import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';
import type { JsonObject } from '../../src/types.ts';
import { sharedData } from '../helpers/provided.ts';
import { KINDS, named, parse, sentencePiece, special } from './sentencepiece.ts';

const template = (...parts: string[]): JsonObject => ({
  type: 'TemplateProcessing',
  single: parts.map((part) =>
    part === 'A' ? { Sequence: { id: 'A', type_id: 0 } } : { SpecialToken: { id: part, type_id: 0 } },
  ),
  pair: [],
  special_tokens: {
    '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] },
    '</s>': { id: '</s>', ids: [2], tokens: ['</s>'] },
  },
});
const names = (json: JsonObject, ids: ArrayLike<number>) => {
  const { vocab } = json.model as { vocab: Record<string, number> } & JsonObject;
  const byId = Object.fromEntries(Object.entries(vocab).map(([token, id]) => [id, token]));
  for (const { id, content } of json.added_tokens as { id: number; content: string }[]) byId[id] = content;
  return Array.from(ids, (id) => byId[id]);
};
const follow = (tokenizer: Tokenizer, before: readonly number[], ids: readonly number[]) => {
  const stream = tokenizer.stream(before);
  return [...ids.map((id) => stream.push(id)), stream.flush()];
};

describe('what begins a text', () => {
  const first = (post_processor: JsonObject | null, config: JsonObject | null = null) =>
    parse(sentencePiece('llama', { post_processor }), config).firstIds;

  test('bos of the post-processor, and nothing that it puts after a text', () => {
    expect(first(template('<s>', 'A'))).toEqual([1]);
    expect(first(template('<s>', 'A', '</s>'))).toEqual([1]);
    expect(first(template('A', '</s>'))).toEqual([]);
    expect(first(template('</s>', '<s>', 'A'))).toEqual([2, 1]);
    expect(first(null)).toEqual([]);
    expect(first({ type: 'ByteLevel' })).toEqual([]);
    expect(first({ type: 'BertProcessing', cls: ['<s>', 1], sep: ['</s>', 2] })).toEqual([1]);
    expect(first({ type: 'RobertaProcessing', cls: ['<s>', 1], sep: ['</s>', 2] })).toEqual([1]);
    const both = [{ type: 'ByteLevel' }, template('<s>', 'A'), template('</s>', 'A')];
    expect(first({ type: 'Sequence', processors: both })).toEqual([2, 1]);
  });

  test('tokenizers whose class goes by tokenizer_config.json', () => {
    const bos_token = '<s>';
    const llama = { tokenizer_class: 'LlamaTokenizer', bos_token };
    expect(first(null, llama)).toEqual([1]);
    expect(first(template('<s>', 'A'), { ...llama, add_bos_token: false })).toEqual([]);
    expect(first(null, { ...llama, bos_token: { content: '<s>' }, add_bos_token: true })).toEqual([1]);
    expect(first(null, { tokenizer_class: 'GPTNeoXTokenizerFast', bos_token })).toEqual([]);
    const other = { tokenizer_class: 'PreTrainedTokenizerFast', bos_token, add_bos_token: true };
    expect(first(null, other)).toEqual([]);
    expect(first(template('<s>', 'A'), { ...other, add_bos_token: false })).toEqual([1]);
  });

  test('a post-processor that makes no sense is refused', () => {
    const broken = { ...template('<s>', 'A'), special_tokens: {} };
    expect(() => first(broken)).toThrowError(/post-processor of special tokens without ids/);
    const beyond = { type: 'BertProcessing', cls: ['<s>', 99999], sep: ['</s>', 2] };
    expect(first(beyond)).toEqual([]); // the model has none of it
  });

  test('is added once, and on request', () => {
    const tokenizer = parse(sentencePiece());
    const hello = [...tokenizer.encode('Hello')];
    expect(hello).not.toContain(1);
    expect([...tokenizer.encode('Hello', { addSpecialTokens: true })]).toEqual([1, ...hello]);
    expect([...tokenizer.encode('<s>Hello', { addSpecialTokens: true })]).toEqual([1, ...hello]);
    expect([...tokenizer.encode('', { addSpecialTokens: true })]).toEqual([1]);
    expect([...tokenizer.encode('<s>', { addSpecialTokens: true, parseSpecial: false })].slice(0, 2)).toEqual(
      [1, ...named(sentencePiece(), '▁')],
    );
  });
});

describe('spaces', () => {
  test.each<[keyof typeof KINDS, string, string[]]>([
    ['llama', 'Hello', ['▁Hello']],
    ['llama', ' Hello', ['▁▁', 'Hello']],
    ['llama', 'the cat', ['▁the', '▁cat']],
    ['llama', '<s>the', ['<s>', '▁the']], // every section begins as a text, in this kind
    ['llama', 'the<s> cat', ['▁the', '<s>', '▁', '▁cat']],
    ['first', 'the cat', ['▁the', '▁cat']],
    ['first', ' the', ['▁the']],
    ['first', '<s>the', ['<s>', 't', 'h', 'e']],
    ['first', 'the<s>the', ['▁the', '<s>', 't', 'h', 'e']],
    ['always', '<s>the', ['<s>', '▁the']],
    ['always', 'the  Hello', ['▁the', '▁', '▁Hello']], // words are parted before each space
    ['first', 'the  Hello', ['▁the', '▁▁', 'Hello']],
    ['never', 'the cat', ['t', 'h', 'e', '▁cat']],
    ['llama', 'é', ['▁', '<0xC3>', '<0xA9>']],
  ])('%s: %j', (kind, text, expected) => {
    const json = sentencePiece(kind);
    expect(names(json, parse(json).encode(text))).toEqual(expected);
  });

  test.each(Object.keys(KINDS))('%s: text that goes on gets no space of its own', (kind) => {
    const json = sentencePiece(kind);
    const tokenizer = parse(json);
    const later = (text: string) => names(json, tokenizer.encode(text, { continues: true }));
    expect(later(' cat')).toEqual(['▁cat']);
    expect(later('the cat')).toEqual(['t', 'h', 'e', '▁cat']);
    expect(later('\nthe')).toEqual(['\n', 't', 'h', 'e']);
  });

  test.each(Object.keys(KINDS))('%s: turns make the text of all, wherever they part', (kind) => {
    const tokenizer = parse(sentencePiece(kind));
    const text = 'Hello the cat  sat.\n    return 1 é 🦙 </s> the';
    for (let cut = 1; cut < text.length; cut++) {
      const [a, b] = [text.slice(0, cut), text.slice(cut)];
      if (/\p{Surrogate}/u.test(a) || /<\/?s?$/.test(a)) continue;
      const before = [...tokenizer.encode(a)];
      const after = [...tokenizer.encode(b, { continues: true })];
      expect(follow(tokenizer, before, after).join(''), JSON.stringify([a, b])).toBe(
        tokenizer.decode([...before, ...after]).slice(tokenizer.decode(before).length),
      );
      if (kind !== 'always' && kind !== 'llama')
        expect(tokenizer.decode([...before, ...after]).trim()).toBe(text);
    }
  });
});

describe('decoding what follows', () => {
  test.each(Object.keys(KINDS))('%s: the first space stays, as do alternatives', (kind) => {
    const json = sentencePiece(kind);
    const tokenizer = parse(json);
    const ids = named(json, '▁▁▁▁', '▁return', '▁1');
    const before = named(json, '<s>', '▁Hello');
    expect(follow(tokenizer, before, ids).join('')).toBe('     return 1');
    const stream = tokenizer.stream(before);
    expect(stream.peek(named(json, '▁cat')[0]!)).toBe(' cat');
    expect(stream.push(named(json, '▁the')[0]!)).toBe(' the');
    expect(stream.peek(named(json, '▁cat')[0]!)).toBe(' cat');
    expect(stream.peek(named(json, '<0xF0>')[0]!)).toBe('\uFFFD');
    expect(stream.push(named(json, '▁sat')[0]!)).toBe(' sat');
  });

  test('at the beginning of a text, and after nothing but special tokens, it goes', () => {
    const json = sentencePiece();
    const tokenizer = parse(json);
    const ids = named(json, '▁Hello', '▁cat');
    expect(follow(tokenizer, [], ids)).toEqual(['Hello', ' cat', '']);
    expect(follow(tokenizer, named(json, '<s>'), ids)).toEqual(['Hello', ' cat', '']);
    expect(follow(tokenizer, named(json, '▁the', '</s>', '<s>'), ids)).toEqual([' Hello', ' cat', '']);
    const never = sentencePiece('never');
    expect(follow(parse(never), [], ids)).toEqual([' Hello', ' cat', '']);
  });

  test('a character that began before', () => {
    const json = sentencePiece();
    const tokenizer = parse(json);
    const llama = [...new TextEncoder().encode('🦙')].map((value) => 3 + value);
    for (let cut = 1; cut < 4; cut++)
      expect(
        follow(tokenizer, [...named(json, '▁the'), ...llama.slice(0, cut)], llama.slice(cut)).join(''),
      ).toBe('🦙');
  });

  test('U+FEFF in bytes is kept', () => {
    const tokenizer = parse(sentencePiece());
    expect(tokenizer.decode(tokenizer.encode('a\uFEFF\uFEFF'))).toBe('a\uFEFF\uFEFF');
  });
});

describe('added tokens', () => {
  const flagged = (more: JsonObject, content = '<x>') => {
    const json = sentencePiece('first');
    (json.added_tokens as JsonObject[]).push(special(500, content, more));
    return { json, names: (text: string, options = {}) => names(json, parse(json).encode(text, options)) };
  };

  test('lstrip and rstrip take white space along, of every kind', () => {
    const left = flagged({ lstrip: true });
    expect(left.names('the \u0085 <x> cat')).toEqual(['▁the', '<x>', '▁cat']);
    expect(left.names('the<x>  <x>')).toEqual(['▁the', '<x>', '<x>']);
    const right = flagged({ rstrip: true });
    expect(right.names('the <x>\n the')).toEqual(['▁the', '▁', '<x>', 't', 'h', 'e']);
  });

  test('single_word: not within a word', () => {
    const { names } = flagged({ single_word: true }, 'cat');
    expect(names('cat')).toEqual(['cat']);
    expect(names('the cat.')).toEqual(['▁the', '▁', 'cat', '.']);
    expect(names('thecat').join('')).toBe('▁thecat');
    expect(names('écat')).not.toContain('cat');
    expect(names('cat1')).not.toContain('cat');
  });

  test('the longest wins; normalized ones are found after the others, in normalized text', () => {
    const { json } = flagged({}, '<x><y>');
    (json.added_tokens as JsonObject[]).push(special(501, '<x>'), special(502, '▁cat', { normalized: true }));
    json.normalizer = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
    expect(names(json, parse(json).encode('<x><x><y>'))).toEqual(['<x>', '<x><y>']);
    expect([...parse(json).encode('a cat')].at(-1)).toBe(502);
  });

  test('special ones are text where they are not parsed; others are found', () => {
    const { json, names } = flagged({ special: false }, '[x]');
    const text = '</s>[x]';
    expect(names(text)).toEqual(['</s>', '[x]']);
    expect(names(text, { parseSpecial: false }).slice(-2)).toEqual(['<0x3E>', '[x]']);
    expect(names(text, { parseSpecial: false })).not.toContain('</s>');
    expect(parse(json).decode(parse(json).encode(text, { parseSpecial: false }))).toBe(text);
  });
});

test('a published tokenizer of 32,000 tokens: bos and first spaces', (context) => {
  const all = sharedData(context, 'found');
  const read = (name: string) => {
    const paths = readdirSync(all, { recursive: true }).map(String);
    const path = paths.find((path) => path.endsWith(`-sentencepiece-prompt/${name}`));
    if (path === undefined) context.skip(`no folder -sentencepiece-prompt in ${all}`);
    return readFileSync(join(all, path!), 'utf8');
  };
  const config = JSON.parse(read('tokenizer_config.json'));
  const tokenizer = parseTokenizer({ name: 'x', tokenizer: read('tokenizer.json'), config }, 32_000);
  expect([...tokenizer.encode('Hello', { addSpecialTokens: true })]).toEqual([1, 22557]);
  const text = [...tokenizer.encode('def f():\n', { addSpecialTokens: true })];
  expect(follow(tokenizer, text, [2287, 604, 28705, 28740]).join('')).toBe('    return 1');
});
