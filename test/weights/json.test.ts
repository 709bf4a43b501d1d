import { describe, expect, test } from 'vitest';
import { formatJson, parseJson, parseJsonObject, stringifyJson } from '../../src/weights/json.ts';
import { expectError } from './files.ts';

const parse = (text: string) => parseJson('x.json', text);

describe('JSON of configs and headers', () => {
  test('reads what JSON.parse reads', () => {
    for (const text of [
      '{}',
      ' [ ] ',
      'null',
      '-0',
      '-0.5e+3',
      '1E400',
      '"\\u00e9\\ud83d\\ude00\\n\\"\\\\\\/\\b\\f\\t\\r"',
      '{"a":[1,2,{"b":null}],"c":"é😀","":true,"constructor":1}',
      '[1.5,-2e-3,12345678901234567890,false]',
    ])
      expect(parse(text)).toEqual(JSON.parse(text));
  });

  test('reads infinities and NaN, bare and wrapped', () => {
    expect(parse('[0, Infinity, -Infinity, NaN]')).toEqual([0, Infinity, -Infinity, NaN]);
    expect(parse('{"time_step_limit":[0.0,{"__float__":"Infinity"}]}')).toEqual({
      time_step_limit: [0, Infinity],
    });
    expect(parse('{"__float__":"Infinity","more":1}')).toEqual({ __float__: 'Infinity', more: 1 });
  });

  test('keeps __proto__ an ordinary key', () => {
    const value = parse('{"__proto__":{"polluted":1}}') as object;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '01',
    '+1',
    '.5',
    '1.',
    '--1',
    '"\n"',
    '"\\x"',
    '"\\u12g4"',
    '"open',
    '[1 2]',
    '{"a" 1}',
    '{"a":}',
    'nul',
    'undefined',
    '[1]]',
    '// c\n1',
    '-',
    '"\\',
    '"\\u00',
    '\u00a01',
  ])('refuses %j', (text) => expectError(() => parse(text), 'INVALID_FILE', /x\.json/));

  test('refuses repeated keys, deep nesting, many values, large and undecodable text', async () => {
    await expectError(() => parse('{"a":1,"b":{},"a":2}'), 'INVALID_FILE', /'a' occurs twice/);
    await expectError(() => parse('{"a":1,"\\u0061":2}'), 'INVALID_FILE', /twice/);
    await expectError(() => parse('['.repeat(1e6)), 'INVALID_FILE', /deeper than 64/);
    await expectError(() => parse('{"a":'.repeat(1e5)), 'INVALID_FILE', /deeper than 64/);
    await expectError(() => parse(`[${'0,'.repeat(1e6)}0]`), 'INVALID_FILE', /more than 1000000 values/);
    await expectError(() => parse(' '.repeat(17 * 2 ** 20)), 'INVALID_FILE', /at most/);
    await expectError(() => parseJson('x.json', new Uint8Array([0x22, 0xff, 0x22])), 'INVALID_FILE', /UTF-8/);
    await expectError(() => parseJsonObject('x.json', '[]'), 'INVALID_FILE', /expected a JSON object/);
  });

  test('is written for people, and read back', () => {
    const value = { b: [1, Infinity, [], {}], a: { z: 'é"', y: null } };
    const text =
      '{\n "b": [\n  1,\n  Infinity,\n  [],\n  {}\n ],\n "a": {\n  "z": "é\\"",\n  "y": null\n }\n}';
    expect(formatJson(value)).toBe(text);
    expect(parse(text)).toEqual(value);
  });

  test('is written with sorted keys and read back', () => {
    const value = { b: [1, Infinity, -Infinity, null], a: { z: 'é"', y: true } };
    expect(stringifyJson(value)).toBe('{"a":{"y":true,"z":"é\\""},"b":[1,Infinity,-Infinity,null]}');
    expect(parse(stringifyJson(value))).toEqual(value);
  });
});
