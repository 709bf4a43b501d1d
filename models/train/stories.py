"""More of the TinyStories data set (CDLA-Sharing-1.0) as one source for data.py.

    python3 stories.py OUT --sample FOLDER --marked FILE --blank FILE --lower FILE

Public repositories carry pieces of it in different shapes:
--marked  stories with an end-of-text mark (github mines-opt-ml/decoding-gpt, data/tinystories_10k.txt)
--blank   stories and paragraphs both parted by blank lines (github yuninxia/moe-routing-bench, data/tinystories_val.txt)
--lower   lowercased, a story starts after a single newline (github Arnoochka/Transformer-Parallelism @911b9e7, tinystories.txt);
          capitals are put back by counts over the other pieces
--sample  the folder with tinystories-sample.txt.xz, whose stories are left out here
Writes OUT/tinystories-more.txt.xz.
"""
import argparse, lzma, os, re
from collections import defaultdict
from text import END, SEPARATOR, normalize, read_documents, shingles

TOKEN = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|[^A-Za-z]+")
STARTS = r'Once upon a time|Once there was|Once there were|One day|There was once|There once was|In a (?:small|big|far)'


class Truecaser:
    """P(capital | word, the words and marks before it) with backoff; counts come from text with its capitals."""

    def __init__(self, texts):
        self.counts = defaultdict(lambda: [0, 0])
        for t in texts:
            for word, contexts in self.walk(t):
                for c in contexts:
                    self.counts[c][word[0].isupper()] += 1

    @staticmethod
    def walk(text):
        mark, before = '.', ''
        for m in TOKEN.finditer(text):
            t = m.group()
            if not t[0].isalpha():
                mark = re.sub(r' +', ' ', re.sub(r'\n+', '\n', t))
                continue
            w = t.lower()
            yield t, ((before, mark, w), (mark, w), (before, mark), (mark,))
            before, mark = w, ' '

    def restore(self, text):
        out, last = [], 0
        for (t, contexts), m in zip(self.walk(text), (m for m in TOKEN.finditer(text) if m.group()[0].isalpha())):
            for c in contexts:
                low, high = self.counts.get(c, (0, 0))
                if low + high >= 3:
                    break
            out.append(text[last:m.start()] + (t[0].upper() + t[1:] if high > low else t))
            last = m.end()
        return ''.join(out) + text[last:]


def read(path):
    with open(path, encoding='utf8') as f:
        return normalize(f.read())


def main():
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument('out'); arg.add_argument('--sample', required=True)
    arg.add_argument('--marked', required=True); arg.add_argument('--blank', required=True); arg.add_argument('--lower', required=True)
    a = arg.parse_args()
    sample = read_documents(a.sample, 'tinystories-sample')
    marked = [d.strip() for d in read(a.marked).split(END) if d.strip()]
    blank = [d.strip() for d in re.split(rf'\n\n(?={STARTS})', read(a.blank)) if d.strip()]
    cased = sample + marked + blank
    caser = Truecaser(cased[len(cased) // 50:])
    check = cased[:len(cased) // 50]
    pairs = [(x, y) for d in check for x, y in zip(TOKEN.findall(d), TOKEN.findall(caser.restore(d.lower())))]
    print(f'capitals restored right in {sum(x == y for x, y in pairs) / len(pairs):.4f} of tokens not counted')
    lower = [caser.restore(d.strip()) for d in re.split(r'(?<!\n)\n(?!\n)', read(a.lower)) if d.strip()]
    seen, kept = {s for d in sample for s in shingles(d.lower())}, []
    for name, docs in (('marked', marked), ('blank', blank), ('lower', lower)):
        before = len(kept)
        for d in docs:
            s = shingles(d.lower())
            if len(s) > 20 and sum(x in seen for x in s) < 0.2 * len(s):
                seen.update(s); kept.append(d)
        print(f'{name}: {len(kept) - before} of {len(docs)} stories, {sum(len(d) for d in kept[before:]) / 1e6:.2f} MB')
    os.makedirs(a.out, exist_ok=True)
    with lzma.open(os.path.join(a.out, 'tinystories-more.txt.xz'), 'wt', encoding='utf8') as f:
        f.write(SEPARATOR.join(kept))


if __name__ == '__main__':
    main()
