/** TypeScript and JavaScript of the documents: with what they take for granted, as programs and for the compiler. */
import type { Block } from './blocks.ts';

/** What a block uses without having it declared; `@` stands for the document's own model. */
const GIVEN: Readonly<Record<string, string>> = {
  load: "import { load } from 'edge-ssm';",
  model: 'const model = await load(@, { maxSessions: 8 });',
  session: "const session = await model.session();\nawait session.append('Once there was a fox.');",
  controller: 'const controller = new AbortController();',
  signal: 'const { signal } = controller;',
  nextLine:
    "let lines = 0;\nconst nextLine = async () => {\n  if (++lines > 3) controller.abort();\n  return 'One day a fox came. ';\n};",
  text: "const text = 'One day a fox came.';",
  messages: "const messages = [{ role: 'user', content: 'Who are you?' }];",
};

/** Documents whose model is another one than the embedded. */
const MODELS: Readonly<Record<string, string>> = { 'docs/chat.md': "'./chat-model'" };

/** Blocks that end with an error, as their text says. */
const ENDS: readonly { file: string; part: string; code: string }[] = [
  { file: 'docs/state.md', part: 'await nextLine()', code: 'ABORTED' },
];

/** Names of pages, for Node: what is appended to the body is printed; a file system in memory. */
export const PAGE = `
globalThis.document = { body: { append: (text) => process.stdout.write(text) } };
const files = new Map();
const directory = {
  async getFileHandle(name) {
    return {
      async createWritable() {
        const parts = [];
        return new WritableStream({ write: (part) => void parts.push(part), close: () => void files.set(name, new Blob(parts)) });
      },
      getFile: async () => files.get(name),
    };
  },
};
Object.defineProperty(globalThis, 'navigator', { value: { storage: { getDirectory: async () => directory } } });
`;

/** A block with all that it needs declared before it. */
export function complete({ file, code }: Block): string {
  const given: string[] = [];
  const seen = new Set<string>();
  const declared = (name: string, text: string) =>
    new RegExp(`(const|let|function\\*?|import) (\\{[^}]*\\b)?${name}\\b`).test(text);
  const visit = (text: string) => {
    for (const [name, definition] of Object.entries(GIVEN)) {
      const used = new RegExp(`(?<![.\\w'])${name}\\b(?!['\\w])(?!:)`).test(text.replace(/\/\/.*$/gm, ''));
      if (!used || declared(name, code) || seen.has(name)) continue;
      seen.add(name);
      visit(definition.replace('@', ''));
      given.push(name);
    }
  };
  visit(code);
  const lines = given.map((name) => GIVEN[name]!.replace('@', MODELS[file] ?? "'tiny'"));
  return `${lines.join('\n')}\n${code}`;
}

/** One program that runs the blocks of a document, each in a scope of its own, and prints a line before each. */
export function programOf(blocks: readonly Block[], library: string): string {
  const runs = blocks.map((block) => {
    const body = complete(block)
      .replace(/^import .*$/gm, '')
      .replace(/^export default/m, 'void');
    const ends = ENDS.find(({ file, part }) => file === block.file && block.code.includes(part));
    return `await run(${block.line}, ${JSON.stringify(ends?.code ?? null)}, async () => {\n${body}\n});`;
  });
  return `import { load as open } from ${JSON.stringify(library)};
${PAGE}
const models = [];
async function load(...options) {
  const model = await open(...options);
  models.push(model);
  return model;
}
async function run(line, code, block) {
  process.stdout.write('\\n=== ' + line + '\\n');
  const error = await block().then(() => null, (error) => error);
  await Promise.all(models.splice(0).map((model) => model.dispose()));
  if ((error && (error.code ?? 'thrown')) === code) return;
  console.error('line ' + line + ':', error);
  process.exit(1);
}
${runs.join('\n')}
process.exit(0);
`;
}
