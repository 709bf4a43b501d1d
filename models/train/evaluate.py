"""Bits per byte of a model folder (config.json, model.safetensors or its shards, tokenizer.json) on the held-out texts of a data folder.

    python3 evaluate.py MODEL DATA [--device cuda]

Each source's held-out documents form one stream, end-of-text between them, read in windows of 1,024 tokens without
overlap (each token is predicted from its own window only); bytes are those of the normalized documents.
"""
import argparse, json, math, os
import torch
import torch.nn.functional as F
from model import Rene

WINDOW = 1024


@torch.no_grad()
def nats(model, ids, window=WINDOW, batch=16):
    """Sum of -log p over ids[1:] (ids: int64 tensor on the model's device), windows of `window` predictions."""
    total, full = 0.0, (len(ids) - 1) // window
    starts = [list(range(i * window, min(i + batch, full) * window, window)) for i in range(0, full, batch)]
    parts = [torch.stack([ids[s:s + window + 1] for s in group]) for group in starts]
    if (len(ids) - 1) % window:
        parts.append(ids[full * window:][None])
    for x in parts:
        logits = model(x[:, :-1].contiguous())
        total += F.cross_entropy(logits.float().flatten(0, 1), x[:, 1:].flatten(), reduction='sum').item()
    return total


def bits_per_byte(model, held_out, device):
    """{source: bits per byte} of [{source, ids, bytes}]; the mean loss counts for the stream's first token too."""
    result = {}
    for source, (ids, size) in held_out.items():
        ids = torch.as_tensor(ids, dtype=torch.int64, device=device)
        result[source] = nats(model, ids) / math.log(2) * len(ids) / (len(ids) - 1) / size
    return result


def load_model(folder, dtype=torch.float32, device='cpu'):
    from safetensors.torch import load_file
    with open(os.path.join(folder, 'config.json')) as f:
        model, state = Rene(json.load(f)), {}
    for name in sorted(n for n in os.listdir(folder) if n == 'model.safetensors' or n.startswith('model-')):
        state.update(load_file(os.path.join(folder, name)))
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model.to(device=device, dtype=dtype).eval()


def read_held_out(data, tokenizer):
    """{source: (ids, bytes)} of DATA/heldout.json, in the model's own tokens."""
    with open(os.path.join(data, 'heldout.json'), encoding='utf8') as f:
        texts = json.load(f)
    return {s: ([i for e in tokenizer.encode_batch(docs) for i in e.ids + [0]], sum(len(d.encode()) for d in docs))
            for s, docs in texts.items()}


def main():
    from tokenizers import Tokenizer
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument('model'); arg.add_argument('data'); arg.add_argument('--device', default='cpu')
    a = arg.parse_args()
    tokenizer = Tokenizer.from_file(os.path.join(a.model, 'tokenizer.json'))
    model = load_model(a.model, device=a.device)
    for source, bpb in bits_per_byte(model, read_held_out(a.data, tokenizer), a.device).items():
        print(f'{source:24} {bpb:.4f}', flush=True)


if __name__ == '__main__':
    main()
