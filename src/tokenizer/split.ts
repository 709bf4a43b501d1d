import type { JsonValue } from '../types.ts';

/** Takes a text apart at what `pattern` matches, as the `behavior` of a pre-tokenizer says. No part is empty. */
export function splitBy(
  text: string,
  pattern: RegExp,
  behavior: JsonValue | undefined,
  invert = false,
): string[] {
  const spans: { text: string; match: boolean }[] = [];
  let end = 0;
  const add = (to: number, match: boolean) => {
    if (to > end) spans.push({ text: text.slice(end, to), match: match !== invert });
    end = to;
  };
  for (const found of text.matchAll(pattern)) {
    add(found.index, false);
    add(found.index + found[0].length, true);
  }
  add(text.length, false);
  switch (typeof behavior === 'string' ? behavior.toLowerCase() : '') {
    case 'removed':
      return spans.filter(({ match }) => !match).map((span) => span.text);
    case 'mergedwithprevious':
      return join(spans, (before, span) => span.match && !before.match);
    case 'mergedwithnext':
      return join(spans, (before, span) => before.match && !span.match);
    case 'contiguous':
      return join(spans, (before, span) => before.match === span.match);
    default:
      return spans.map((span) => span.text); // isolated
  }
}

type Span = { text: string; match: boolean };

function join(spans: readonly Span[], together: (before: Span, span: Span) => boolean): string[] {
  const parts: string[] = [];
  spans.forEach((span, i) => {
    if (i > 0 && together(spans[i - 1]!, span)) parts.push(parts.pop()! + span.text);
    else parts.push(span.text);
  });
  return parts;
}
