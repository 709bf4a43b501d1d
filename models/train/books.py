"""Public-domain books as one text file for data.py.

    python3 books.py OUT --markdown FOLDER --gutenberg FOLDER --exclude NAME.txt.xz ...

--markdown   a checkout of github mlschmitt/classic-books-markdown: <author>/<title>.md
--gutenberg  a checkout of github rcdm-uga/Gutenberg_Text: <author>/<title>.txt with Project Gutenberg's header and footer
--exclude    sources whose paragraphs must not appear again (children-classics, fairytaleqa-stories)
--limit      megabytes of text to keep: the books with the most common words stay

Writes OUT/books.txt.xz (held-out books first), OUT/books.list.txt (author/title, one a line).
"""
import argparse, glob, lzma, os, re
from collections import Counter
from text import SEPARATOR, fingerprint, fingerprints, normalize, read_documents, words

HELD_OUT = ('A.W. Tozer/The Pursuit of God', 'Abbie Farwell Brown/The Christmas Angel', 'Abraham Merritt/The Moon Pool')

# Authors of prose who died by 1955, of the folders of Gutenberg_Text. Verse, plays, scholarship and duplicates by
# illustrator or translator are left to the filters below.
AUTHORS = ('Alcott', 'Alger', 'Andersen', 'Austen', 'Balzac', 'Barrie', 'Baum', 'Blackwood', 'Brontë', 'Burnett',
           'Burroughs', 'Carroll', 'Chekhov', 'Chesterton', 'Collins', 'Conrad', 'Defoe', 'Dickens', 'Dostoyevsky', 'Doyle',
           'Dumas', 'Garnett', 'Goldfrap', 'Grimm', 'Hapgood', 'Hardy', 'Hawthorne', 'Henty', 'Hugo', 'Irving', 'James',
           'Kemble', 'Kipling', 'Lang', 'London', 'Maude', 'Maupassant', 'Melville', 'Montgomery', 'Nesbit', 'Poe',
           'Potter', 'Scott', 'Shelley', 'Stevenson', 'Stoker', 'Swift', 'Tolstoy', 'Townsend', 'Trollope', 'Twain',
           'Verne', 'Weir', 'Wells', 'Wharton', 'Wilde', 'Wrenn', 'Zola')
SKIP_TITLE = re.compile(r'\b(poem|poems|poetry|verse|verses|songs?|ballads?|plays?|drama|letters|index|dictionary|catalogue|'
                        r'bibliography|homer|myth, ritual|religion|speeches|comedy|tragedy)\b', re.I)
LANG = re.compile(r'fairy|stor(y|ies)|tales?|romance|animal|prince|princess|king|nights|saints and heroes', re.I)


def tidy(paragraph):
    p = re.sub(r'[*_]', '', paragraph)
    p = re.sub(r'\[(Illustration|Footnote|Sidenote|Transcriber)[^\]]*\]', '', p)
    p = re.sub(r'[\[{](\d+|pg \d+|p\. ?\d+)[\]}]', '', p)
    p = p.replace('--', ' - ').replace('&amp;', '&')
    return re.sub(r'[ \t]+', ' ', p).strip()


def markdown_book(path):
    """(text, year or None) of a markdown file: headings lose their marks, the title block goes."""
    with open(path, encoding='utf8', errors='replace') as f:
        raw = f.read().replace('\r', '')
    year = re.search(r'^#+ *Year: *(\d{4})', raw, re.M)
    body = raw.split('\n-------', 1)[-1]
    lines = [tidy(re.sub(r'!?\[([^\]]*)\]\([^)]*\)', r'\1', re.sub(r'^[#>\-\s]+', '', line))) for line in body.split('\n')]
    return '\n\n'.join(p for p in lines if p), int(year.group(1)) if year else None


def gutenberg_book(path):
    """The body of a Project Gutenberg file with unwrapped paragraphs, or None: not English, copyrighted, or mostly verse."""
    with open(path, encoding='utf8', errors='replace') as f:
        raw = f.read().replace('\r', '')
    head = raw[:6000]
    language = re.search(r'^Language: *(\w+)', head, re.M)
    if (language and language.group(1) != 'English') or 'COPYRIGHTED Project Gutenberg' in head:
        return None
    start = re.search(r'\*\*\* ?START OF (THE|THIS) PROJECT[^\n]*\n|\*END\*?THE SMALL PRINT[^\n]*\n', raw)
    end = re.search(r'\*\*\* ?END OF (THE|THIS) PROJECT|End of (the |this )?Project Gutenberg', raw)
    if not start:
        return None
    body = raw[start.end():end.start() if end and end.start() > start.end() else None]
    out, verse, total = [], 0, 0
    for block in re.split(r'\n\s*\n', body):
        lines = [line for line in block.split('\n') if line.strip()]
        if not lines or re.search(r'produced by|proofread|transcriber|gutenberg|e-text|www\.|http|copyright|all rights', block, re.I):
            continue
        is_verse = len(lines) > 2 and sum(len(line) < 50 for line in lines) > 0.7 * len(lines)
        text = '\n'.join(tidy(x) for x in lines) if is_verse else tidy(' '.join(lines))
        total, verse = total + len(text), verse + len(text) * is_verse
        if text:
            out.append(text)
    return '\n\n'.join(out) if total > 3000 and verse < 0.25 * total else None


def wanted(path):
    author, title = path.split(os.sep)[-2:]
    if not author.strip('"').startswith(AUTHORS) or SKIP_TITLE.search(title):
        return False
    return not author.strip('"').startswith('Lang,') or bool(LANG.search(title))


def new_paragraphs(text, seen):
    """The text without paragraphs seen before, or None if most of it was seen."""
    kept, known, total = [], 0, 0
    for p in text.split('\n\n'):
        f = fingerprint(p)
        total += len(p)
        if f is not None and f in seen:
            known += len(p)
        else:
            kept.append(p)
    return '\n\n'.join(kept) if known < 0.4 * total else None


def main():
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument('out'); arg.add_argument('--markdown', required=True); arg.add_argument('--gutenberg')
    arg.add_argument('--texts', default='.'); arg.add_argument('--exclude', nargs='*', default=[])
    arg.add_argument('--limit', type=float, default=1e9)
    a = arg.parse_args()
    seen, common = set(), Counter()
    for name in a.exclude:
        for d in read_documents(a.texts, name):
            seen |= fingerprints(d); common.update(words(d))
    common = {w for w, _ in common.most_common(4000)}
    books, held = [], []
    for path in sorted(glob.glob(os.path.join(glob.escape(a.markdown), '*', '*.md'))):
        name = os.sep.join(path.split(os.sep)[-2:])[:-3]
        text, year = markdown_book(path)
        if name in HELD_OUT:  # only measured on, never trained on
            held.append((name, normalize(text)))
        elif year is not None and year <= 1928:  # in the public domain of the United States by age
            books.append((name, normalize(text)))
    for path in sorted(glob.glob(os.path.join(glob.escape(a.gutenberg), '*', '*.txt'))) if a.gutenberg else []:
        if wanted(path) and (text := gutenberg_book(path)):
            books.append((os.sep.join(path.split(os.sep)[-2:])[:-4].replace('"', ''), normalize(text)))
    for _, text in held:
        seen |= fingerprints(text)
    kept = []
    for name, text in books:
        text = new_paragraphs(text, seen)
        if text and len(text) > 3000 and sum(c.isascii() for c in text) > 0.98 * len(text):
            seen |= fingerprints(text)
            w = words(text[:200000])
            kept.append((sum(x in common for x in w) / max(1, len(w)), name, text))
    kept.sort(reverse=True)
    total, chosen = 0, []
    for score, name, text in kept:
        if total + len(text) <= a.limit * 1e6 and score > 0.8:
            total += len(text); chosen.append((name, text))
    chosen.sort()
    os.makedirs(a.out, exist_ok=True)
    with lzma.open(os.path.join(a.out, 'books.txt.xz'), 'wt', encoding='utf8', preset=1) as f:
        f.write(SEPARATOR.join(t for _, t in sorted(held) + chosen))
    with open(os.path.join(a.out, 'books.list.txt'), 'w', encoding='utf8') as f:
        f.write('\n'.join(n for n, _ in chosen) + '\n')
    print(f'{len(held)} held out, {len(chosen)} of {len(books)} books, {total / 1e6:.1f} MB; least common words: {min(s for s, n, t in kept if (n, t) in set(chosen)) if chosen else 0:.3f}')


if __name__ == '__main__':
    main()
