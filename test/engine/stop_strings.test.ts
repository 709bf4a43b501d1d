import { expect, test } from 'vitest';
import { StopStrings } from '../../src/engine/language/stop_strings.ts';

/** The text up to the stop string that is complete first, character by character: slow and plain. */
function oracle(text: string, stops: string[]): { text: string; stop: string | null } {
  for (let end = 1; end <= text.length; end++) {
    const matching = stops
      .filter((stop) => text.slice(0, end).endsWith(stop))
      .sort((a, b) => b.length - a.length);
    if (matching[0] !== undefined)
      return { text: text.slice(0, end - matching[0].length), stop: matching[0] };
  }
  return { text, stop: null };
}

test('any text, any stops, any cut', () => {
  let x = 7;
  const random = (n: number) => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return Math.floor((x / 2 ** 32) * n);
  };
  const word = (n: number) => Array.from({ length: n }, () => 'ab猫'[random(3)]).join('');
  let matched = 0;
  for (let round = 0; round < 2000; round++) {
    const text = word(random(20));
    const stops = Array.from({ length: 1 + random(3) }, () => word(1 + random(5)));
    const matcher = new StopStrings(stops);
    let emitted = '';
    let stop: string | null = null;
    for (let at = 0; at < text.length && stop === null; ) {
      const n = 1 + random(4);
      const result = matcher.push(text.slice(at, at + n));
      emitted += result.text;
      stop = result.stop;
      at += n;
      if (stop === null) {
        // Held back is exactly what could still become a stop string.
        const held = text.slice(emitted.length, at);
        expect(held === '' || stops.some((s) => s.length > held.length && s.startsWith(held))).toBe(true);
      }
    }
    if (stop === null) emitted += matcher.flush();
    else matched++;
    expect({ text: emitted, stop }).toEqual(oracle(text, stops));
  }
  expect(matched).toBeGreaterThan(500);
});

test('without stops everything passes', () => {
  const matcher = new StopStrings([]);
  expect(matcher.push('abc')).toEqual({ text: 'abc', stop: null });
  expect(matcher.flush()).toBe('');
});
