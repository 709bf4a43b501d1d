"""Master files of a trained model: what is packed and tested.

    python3 export.py RUN DATA OUT [--books books.list.txt ...]

RUN is train.py's folder, DATA data.py's. OUT gets model.safetensors (matrices float16, vectors float32, published names),
config.json, generation_config.json (a repetition penalty: see models/tiny/README.md), tokenizer.json, expected.safetensors, heldout.json (bits per byte of the float16 weights) and MODEL.md.
expected.safetensors: for each prompt p0...p3 its `ids`, `logits` (computed in float64 from the float16 weights, stored
float32) and `greedy`, the ids followed by 60 greedy tokens.
"""
import argparse, json, os, shutil
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from evaluate import bits_per_byte, load_model, read_held_out

PROMPTS = ('Once upon a time, there was a little girl who', 'One day, a fox went to the river.', 'Rene Descartes was', None)
GREEDY = 60
PENALTY = 1.2


def stored(name, tensor):
    """Matrices in float16, vectors and the convolution in float32."""
    return tensor.to(torch.float16 if tensor.dim() == 2 else torch.float32).contiguous()


@torch.no_grad()
def expected(model, tokenizer, bos, window=None):
    """{name: tensor} of the golden prompts; no prompt stands for the single id bos."""
    out, margin = {}, float('inf')
    for i, prompt in enumerate(PROMPTS):
        ids = tokenizer.encode(prompt).ids if prompt else [bos]
        out[f'p{i}.ids'] = torch.tensor(ids, dtype=torch.int32)
        logits = model(torch.tensor([ids]))[0]
        out[f'p{i}.logits'] = logits.float()
        for _ in range(GREEDY):
            last = model(torch.tensor([ids]))[0, -1]
            top = last.topk(2).values
            margin = min(margin, (top[0] - top[1]).item())
            ids = ids + [int(last.argmax())]
        out[f'p{i}.greedy'] = torch.tensor(ids, dtype=torch.int32)
        print('>>>', tokenizer.decode(ids).replace('\n', ' / '), flush=True)
    print(f'smallest difference between the two highest logits on the greedy paths: {margin:.4f}', flush=True)
    return out


def card(report, held_out, sizes, books):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, 'MODEL.template.md'), encoding='utf8') as f:
        text = f.read()
    rows = [f'| {n} | {s["documents"]:,} | {s["bytes"] / 1e6:.1f} | {s["tokens"] / 1e6:.2f} | {report["epochs"].get(n, 0):.1f} | {s["held_out"]} | '
            + (f'{held_out[n]:.4f} |' if n in held_out else '|') for n, s in sizes.items()]
    values = dict(parameters=f'{report["parameters"] / 1e6:.2f}', steps=f'{report["steps"]:,}', tokens=f'{report["tokens"] / 1e6:,.0f}',
                  seconds=f'{report["seconds"]:,.0f}', device=report['device'], sources='\n'.join(rows), books=f'{books:,}')
    for k, v in values.items():
        text = text.replace('{' + k + '}', v)
    return text


def main():
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument('run'); arg.add_argument('data'); arg.add_argument('out'); arg.add_argument('--books')
    a = arg.parse_args()
    os.makedirs(a.out, exist_ok=True)
    state = torch.load(os.path.join(a.run, 'model.pt'), map_location='cpu')
    save_file({k: stored(k, v) for k, v in state.items()}, os.path.join(a.out, 'model.safetensors'), metadata={'format': 'pt'})
    for name in ('config.json', 'tokenizer.json'):
        shutil.copy(os.path.join(a.run, name), os.path.join(a.out, name))
    with open(os.path.join(a.out, 'config.json')) as f:
        bos = json.load(f)['bos_token_id']
    with open(os.path.join(a.out, 'generation_config.json'), 'w') as f:
        json.dump({'bos_token_id': bos, 'do_sample': False, 'eos_token_id': bos, 'repetition_penalty': PENALTY}, f)
    tokenizer = Tokenizer.from_file(os.path.join(a.out, 'tokenizer.json'))
    save_file(expected(load_model(a.out, torch.float64), tokenizer, bos), os.path.join(a.out, 'expected.safetensors'))
    held_out = bits_per_byte(load_model(a.out), read_held_out(a.data, tokenizer), 'cpu')
    with open(os.path.join(a.out, 'heldout.json'), 'w') as f:
        json.dump(held_out, f, indent=1)
    books = 0
    if a.books:
        shutil.copy(a.books, os.path.join(a.out, 'books.txt'))
        with open(a.books, encoding='utf8') as f:
            books = sum(1 for line in f if line.strip())
    with open(os.path.join(a.run, 'train.json')) as f, open(os.path.join(a.data, 'data.json')) as g:
        text = card(json.load(f), held_out, json.load(g)['sizes'], books)
    with open(os.path.join(a.out, 'MODEL.md'), 'w', encoding='utf8') as f:
        f.write(text)
    print(json.dumps(held_out, indent=1))


if __name__ == '__main__':
    main()
