"""Text helpers shared by the data steps: normalization, documents, paragraph hashes."""
import hashlib, lzma, os, re

END = '<|endoftext|>'
SEPARATOR = f'\n{END}\n'

# The model's alphabet stays small: typographic characters become their plain forms.
PLAIN = (('\u2019', "'"), ('\u2018', "'"), ('\u201c', '"'), ('\u201d', '"'), ('\u2014', ' - '),
         ('\u2013', '-'), ('\u2026', '...'), ('\u00a0', ' '))


def normalize(text):
    for a, b in PLAIN:
        text = text.replace(a, b)
    return text


def read_text(folder, name):
    """The text of `name`.txt.xz or `name`.txt in `folder`."""
    packed, plain = os.path.join(folder, name + '.txt.xz'), os.path.join(folder, name + '.txt')
    if os.path.exists(packed):
        with lzma.open(packed, 'rt', encoding='utf8') as f:
            return f.read()
    if os.path.exists(plain):
        with open(plain, encoding='utf8') as f:
            return f.read()
    raise FileNotFoundError(f'{name}.txt.xz or {name}.txt expected in {folder}')


def read_documents(folder, name):
    """The documents of a source, in file order, stripped and normalized."""
    return [normalize(d.strip()) for d in read_text(folder, name).split(END) if d.strip()]


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def fingerprint(paragraph):
    """64 bits of a paragraph's letters, or None if it is too short to tell one text from another."""
    key = re.sub(r'[^a-z]', '', paragraph.lower())[:160]
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), 'little') if len(key) >= 60 else None


def fingerprints(text):
    return {f for f in map(fingerprint, text.split('\n')) if f is not None}


def shingles(text, n=13):
    """Hashes of all runs of n words."""
    w = words(text)
    return [hash(tuple(w[i:i + n])) for i in range(len(w) - n + 1)]
