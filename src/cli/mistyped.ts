/** Words of a prompt that were meant as a command. */
import { UsageError } from './options.ts';

/** A prompt of more words than this is one. */
const MOST_WORDS = 3;

/**
 * Refuses a command line whose first word is nearly a command's name; `edge-ssm run WORD` takes it as a prompt.
 * @throws UsageError
 */
export function refuseMistyped(args: readonly string[], commands: readonly string[]): void {
  const end = args.findIndex((arg) => arg.startsWith('-'));
  const words = end < 0 ? args : args.slice(0, end);
  const [word = ''] = words;
  if (words.length > MOST_WORDS || !/^[a-z]{3,}$/.test(word)) return;
  const most = word.length > 5 ? 2 : 1;
  const meant = commands.find((name) => distance(word, name) <= most);
  if (meant !== undefined)
    throw new UsageError(
      `There is no command '${word}': did you mean ${meant}? As a prompt: edge-ssm run ${word}`,
    );
}

/** Letters to add, leave out, change or swap with the next one until `a` is `b`. */
export function distance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j++) rows[0]![j] = j;
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = least;
    }
  return rows[a.length]![b.length]!;
}
