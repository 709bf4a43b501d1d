"""Texts to tokens: the split, the tokenizer, and one token file a source.

    python3 data.py TEXTS OUT [--sources sources.json] [--tokenizer tokenizer.json] [--workers N]

TEXTS holds <source>.txt.xz or .txt for each source of the table, documents parted by <|endoftext|>. A source that is
missing is left out with a note. OUT gets tokenizer.json, <source>.bin (uint16, end-of-text after each document),
heldout.json (the held-out documents' text) and data.json (sizes and the table).

Held out are whole documents (`first` N after an optional seeded shuffle, or index `ranges`). From the rest goes every
document that shares a fifth of its 13-word runs with held-out text, and every paragraph that shares half of them.
"""
import argparse, json, os, random
import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from text import END, read_documents, shingles

CHUNK = 40000  # characters encoded at a time, cut at line ends


def split(documents, rule):
    """(held out, rest); the rule's shuffle is Python's own with that seed, as in the first model's recipe."""
    if not rule:
        return [], documents
    documents = list(documents)
    if 'shuffle' in rule:
        random.seed(rule['shuffle'])
        random.shuffle(documents)
    out = {i for a, b in rule.get('ranges', [(0, rule.get('first', 0))]) for i in range(a, min(b, len(documents)))}
    held = [documents[i][:rule.get('characters')] for i in sorted(out)]
    return held, [d for i, d in enumerate(documents) if i not in out]


def clean(documents, known):
    """The documents without what repeats held-out text (`known`: its shingles), and how much went."""
    out, dropped, cut = [], 0, 0
    for d in documents:
        s = shingles(d)
        shared = sum(x in known for x in s)
        if shared >= 0.2 * len(s) and shared:
            dropped += 1
            continue
        if shared:
            paragraphs = d.split('\n')
            kept = [p for p in paragraphs if not (t := shingles(p)) or sum(x in known for x in t) < 0.5 * len(t)]
            cut += len(paragraphs) - len(kept)
            d = '\n'.join(kept)
        out.append(d)
    return out, dropped, cut


def train_tokenizer(texts, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[END], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    return tokenizer


def encode(tokenizer, documents):
    """All documents as one uint16 stream, end-of-text (id 0) after each."""
    out = []
    for d in documents:
        pieces, i = [], 0
        while i < len(d):
            j = d.find('\n', i + CHUNK)
            pieces.append(d[i:len(d) if j < 0 else j])
            i = len(d) if j < 0 else j
        for e in tokenizer.encode_batch(pieces):
            out.append(np.array(e.ids, dtype=np.uint16))
        out.append(np.zeros(1, dtype=np.uint16))
    return np.concatenate(out)


def main():
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    arg.add_argument('texts'); arg.add_argument('out')
    arg.add_argument('--sources', default=os.path.join(here, 'sources.json'))
    arg.add_argument('--tokenizer', help='use this one instead of training one')
    a = arg.parse_args()
    with open(a.sources) as f:
        table = json.load(f)
    held, rest = {}, {}
    for name, rule in table['sources'].items():
        try:
            held[name], rest[name] = split(read_documents(a.texts, name), rule.get('held_out'))
        except FileNotFoundError as e:
            print(f'{name}: left out, {e}')
    if not rest:
        raise SystemExit(f'no source of {a.sources} is in {a.texts}')
    known = {s for docs in held.values() for d in docs for s in shingles(d)}
    os.makedirs(a.out, exist_ok=True)
    for name in rest:
        rest[name], dropped, cut = clean(rest[name], known)
        print(f'{name}: {len(rest[name])} documents, {len(held[name])} held out; dropped {dropped} documents and {cut} paragraphs near held-out text', flush=True)
    if a.tokenizer:
        tokenizer = Tokenizer.from_file(a.tokenizer)
    else:
        options, texts = table['tokenizer'], []
        for name, docs in rest.items():
            texts += [d[:options['characters_per_document']] for d in docs] * table['sources'][name]['tokenizer']
        tokenizer = train_tokenizer(texts, options['vocab_size'])
    tokenizer.save(os.path.join(a.out, 'tokenizer.json'))
    sizes = {}
    for name, docs in rest.items():
        tokens = encode(tokenizer, docs)
        tokens.tofile(os.path.join(a.out, name + '.bin'))
        size = sum(len(d.encode()) for d in docs)
        sizes[name] = dict(documents=len(docs), bytes=size, tokens=len(tokens), held_out=len(held[name]))
        print(f'{name}: {size / 1e6:.2f} MB, {len(tokens) / 1e6:.2f} M tokens', flush=True)
    with open(os.path.join(a.out, 'heldout.json'), 'w', encoding='utf8') as f:
        json.dump({n: d for n, d in held.items() if d}, f, ensure_ascii=False)
    with open(os.path.join(a.out, 'data.json'), 'w') as f:
        json.dump(dict(table=table, sizes=sizes), f, indent=1)


if __name__ == '__main__':
    main()
