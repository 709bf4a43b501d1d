import type { JsonObject, JsonValue } from '../types.ts';
import { isObject } from './json.ts';

/** How a byte-level BPE cuts text into words: what a value of `tokenizer.ggml.pre` stands for. */
export interface PreTokenizer {
  /** Values of `tokenizer.ggml.pre`; the first is what is written. */
  names: readonly string[];
  /** Patterns in Oniguruma's syntax, as in tokenizer.json; each cuts what those before it have left. */
  patterns: readonly string[];
  nfc: boolean; // their makers normalize to NFC first; llama.cpp does not
  ignoreMerges: boolean; // a word that is a token stays whole
  addBos: boolean; // where `tokenizer.ggml.add_bos_token` is absent
}

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const SPACES = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const CASED =
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+@|` +
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*@`;
const PUNCTUATED = String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`;

/** GPT-4's pattern, with numbers of so many digits. */
const gpt4 = (digits: string) =>
  String.raw`${ENDINGS}|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|${SPACES}`;
const GPT4 = gpt4(String.raw`\p{N}{1,3}`);
const QWEN2 = gpt4(String.raw`\p{N}`);
const GPT4O = `${CASED.replaceAll('@', `${ENDINGS}?`)}|\\p{N}{1,3}|${PUNCTUATED}|${SPACES}`;
const TEKKEN = `${CASED.replaceAll('@', '')}|\\p{N}|${PUNCTUATED}|${SPACES}`;
const QWEN35 = String.raw`${ENDINGS}|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|${SPACES}`;
const SEED_CODER = String.raw`${ENDINGS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|${SPACES}`;
const DEEPSEEK3 = [
  String.raw`\p{N}{1,3}`,
  '[一-龥぀-ゟ゠-ヿ]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|' +
    String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${SPACES}`,
];
const DEEPSEEK_CODER = [
  String.raw`[\r\n]`,
  String.raw`\s?\p{L}+`,
  String.raw`\s?\p{P}+`,
  '[一-龥ࠀ-一가-퟿]+',
  String.raw`\p{N}`,
];
const FALCON = [String.raw`[\p{P}\$\+<=>\^~\|\x60]+`, GPT2, '[0-9][0-9][0-9]'];
const BLOOM = String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`;

const kind = (
  names: string,
  patterns: readonly string[],
  facts: Partial<Pick<PreTokenizer, 'nfc' | 'ignoreMerges' | 'addBos'>> = {},
): PreTokenizer => {
  return { names: names.split(' '), patterns, nfc: false, ignoreMerges: false, addBos: false, ...facts };
};
const NFC = { nfc: true };

const KINDS: readonly PreTokenizer[] = [
  kind('gpt-2 phi-2 mellum modern-bert exaone4 gigachat a.x-4.0 jais trillion granite-docling', [GPT2]),
  // 'mpt' is what converters write for GPT-NeoX's vocabulary, which Mamba models of converters without the key have.
  kind('mpt gpt-neox olmo default', [GPT2], NFC),
  kind('llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2', [GPT4], {
    ignoreMerges: true,
    addBos: true,
  }),
  kind('dbrx smaug-bpe glm4 chatglm-bpe', [GPT4]),
  kind('qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan kormo', [QWEN2], NFC),
  kind('grok-2 solar-open', [QWEN2]),
  kind('qwen35', [QWEN35]),
  kind('gpt-4o llama4 kanana2 minimax-m2', [GPT4O]),
  kind('tekken', [TEKKEN], { ignoreMerges: true, addBos: true }),
  kind('refact starcoder smollm codeshell exaone minerva-7b mellum2', [String.raw`\p{N}`, GPT2]),
  kind('command-r', [String.raw`\p{N}`, GPT2], NFC),
  kind('falcon', FALCON),
  kind('deepseek-v3 hunyuan-dense joyai-llm', DEEPSEEK3),
  kind('deepseek-coder', DEEPSEEK_CODER),
  kind('seed-coder', [SEED_CODER]),
  kind('bloom poro-chat gpt3-finnish', [BLOOM]),
  kind('viking', [BLOOM, String.raw`\p{N}`]),
];

const BY_NAME = new Map(KINDS.flatMap((found) => found.names.map((name) => [name, found])));

/** The pre-tokenizer that a value of `tokenizer.ggml.pre` stands for, if it is known. */
export function preTokenizerNamed(name: string): PreTokenizer | null {
  return BY_NAME.get(name) ?? null;
}

/** The `pre_tokenizer` of a tokenizer.json. */
export function preTokenizerJson({ patterns }: PreTokenizer): JsonObject {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  if (patterns.length === 1 && patterns[0] === GPT2) return { ...byteLevel, use_regex: true };
  const pretokenizers = patterns.map((Regex) => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  }));
  return { type: 'Sequence', pretokenizers: [...pretokenizers, { ...byteLevel, use_regex: false }] };
}

/**
 * What a tokenizer.json's `pre_tokenizer` is called in GGUF, if it cuts as one of those that are known; the nearest in
 * what else they say.
 */
export function preTokenizerOf(
  json: JsonValue | undefined,
  wanted: Pick<PreTokenizer, 'nfc' | 'ignoreMerges'>,
): PreTokenizer | null {
  const patterns = patternsOf(json);
  if (!patterns) return null;
  const candidates = KINDS.filter((found) => found.patterns.join('\n') === patterns.join('\n'));
  const distance = (found: PreTokenizer) =>
    2 * Number(found.ignoreMerges !== wanted.ignoreMerges) + Number(found.nfc !== wanted.nfc);
  return candidates.sort((a, b) => distance(a) - distance(b))[0] ?? null;
}

/** The patterns that a byte-level `pre_tokenizer` splits by, one after the other. */
function patternsOf(json: JsonValue | undefined): string[] | null {
  if (!isObject(json)) return null;
  const steps = json.type === 'Sequence' && Array.isArray(json.pretokenizers) ? json.pretokenizers : [json];
  const patterns: string[] = [];
  for (const [i, step] of steps.entries()) {
    if (!isObject(step)) return null;
    const { type, pattern, behavior } = step;
    const last = i === steps.length - 1;
    if (type === 'Split' && isObject(pattern) && typeof pattern.Regex === 'string' && !last) {
      if (behavior === 'Isolated' ? step.invert : !step.invert || behavior !== 'Removed') return null;
      patterns.push(pattern.Regex);
    } else if (type === 'Digits' && step.individual_digits === true && !last)
      patterns.push(String.raw`\p{N}`);
    else if (type === 'ByteLevel' && last && step.add_prefix_space !== true) {
      if (step.use_regex !== false) patterns.push(GPT2);
    } else return null;
  }
  return patterns;
}
