import { expect, test } from 'vitest';
import { SAMPLE_WORDS } from '../../src/backends/common/sampling.ts';
import { structs } from '../../src/backends/wasm/structs.ts';

/** What wasm/structs.h says: a macro for each struct, with which the compiler compares it. */
function header(): string {
  const macros = Object.entries(structs).map(([name, { WORDS, ...fields }]) => {
    const checks = Object.entries(fields).map(([field, word]) => `  AT_WORD(${name}, ${field}, ${word})`);
    return `#define CHECK_${name} \\\n${[...checks, `  IN_WORDS(${name}, ${WORDS})`].join(' \\\n')}\n`;
  });
  return `// The words at which fields of structs begin, as TypeScript writes and reads them. Made of src/backends/wasm/structs.ts by
// npx vitest run test/wasm/structs.test.ts -u
#ifndef EDGE_STRUCTS_H
#define EDGE_STRUCTS_H
#include <stddef.h>

#define AT_WORD(type, field, word) _Static_assert(offsetof(type, field) == 4 * (word), #type "." #field);
#define IN_WORDS(type, words) _Static_assert(sizeof(type) == 4 * (words), #type);

${macros.join('\n')}
#endif
`;
}

test('wasm/structs.h holds the C structs to the words that TypeScript takes them for', async () => {
  await expect(header()).toMatchFileSnapshot('../../wasm/structs.h');
});

test('sampling options lie as writeSampleParams writes them', () => {
  expect(structs.output.target_logprob - structs.output.temperature).toBe(SAMPLE_WORDS);
});
