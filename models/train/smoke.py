"""One minute on a CPU: every step of the recipe on a small text made here, checked.

    python3 smoke.py

Data, a run with a stop and a resume, the same run without, a run shared by two processes, export, and a read back. It
fails (exit code 1) if the loss does not fall, if the resumed or the shared run differs, if the chunked recurrence differs from the plain one, or if the exported
files do not hold what they should. Without PyTorch it says so and ends with code 77.
"""
import importlib.util, json, os, random, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def check(ok, what):
    print(('ok   ' if ok else 'FAIL ') + what, flush=True)
    if not ok:
        raise SystemExit(1)


def story(rng):
    """A little text with structure to learn: names, animals, places, in sentences that depend on each other."""
    name, animal, place = rng.choice(['Lily', 'Tom', 'Anna', 'Ben']), rng.choice(['fox', 'cat', 'bird', 'bear']), rng.choice(['river', 'park', 'hill'])
    return (f'One day, {name} went to the {place}. At the {place}, {name} saw a {animal}.\n"Hello, {animal}!" said {name}. '
            f'The {animal} looked at {name} and was {rng.choice(["happy", "sad", "very big"])}.\nThey stayed at the {place} all day.')


def run(*args):
    began = time.time()
    r = subprocess.run([sys.executable, *args], cwd=HERE, capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    if r.returncode:
        print(r.stdout[-3000:], r.stderr[-3000:])
    check(r.returncode == 0, f'{os.path.basename(args[0])} ({time.time() - began:.1f} s)')
    return r.stdout


def recurrence():
    import torch
    from model import ssd
    g = torch.Generator().manual_seed(0)
    r = lambda *s: torch.randn(*s, generator=g, dtype=torch.float64)
    x, dt, A, B, C = r(2, 48, 3, 8), r(2, 48, 3).abs(), -r(3).abs(), r(2, 48, 16), r(2, 48, 16)
    h, y = torch.zeros(2, 3, 8, 16, dtype=torch.float64), []
    for t in range(48):
        h = h * torch.exp(dt[:, t] * A)[..., None, None] + (dt[:, t, :, None] * x[:, t])[..., None] * B[:, t, None, None]
        y.append((h * C[:, t, None, None]).sum(-1))
    check((torch.stack(y, 1) - ssd(x, dt, A, B, C, 16)).abs().max() < 1e-12, 'chunked recurrence equals the plain one')


def shared(data, tmp, options):
    """Two processes make the step of one, up to rounding; without dropout, whose draws differ."""
    import torch
    path = os.path.join(data, 'data.json')
    with open(path) as f:
        info = json.load(f)
    for source in info['table']['sources'].values():
        source['dropout'] = 0.0
    with open(path, 'w') as f:
        json.dump(info, f)
    one, two = os.path.join(tmp, 'one'), os.path.join(tmp, 'two')
    run('train.py', data, one, *options)
    run('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', 'train.py', data, two, *options)
    a, b = (torch.load(os.path.join(d, 'model.pt')) for d in (one, two))
    off = max(((a[k] - b[k]).norm() / (a[k].norm() + 1e-9)).item() for k in a)
    check(off < 1e-3, f'two processes make the step of one (largest relative difference {off:.1e})')


def main():
    missing = [m for m in ('torch', 'numpy', 'safetensors', 'tokenizers') if importlib.util.find_spec(m) is None]
    if missing:
        print(f'SKIP: {", ".join(missing)} not installed')
        raise SystemExit(77)
    recurrence()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as tmp:
        texts, data = os.path.join(tmp, 'texts'), os.path.join(tmp, 'data')
        os.makedirs(texts)
        for name, n in (('small', 60), ('large', 600)):
            with open(os.path.join(texts, name + '.txt'), 'w') as f:
                f.write('\n<|endoftext|>\n'.join(story(rng) + f' The {i} end.' for i in range(n)))
        table = {'tokenizer': {'vocab_size': 384, 'characters_per_document': 1000}, 'late_from': 0.6, 'sources': {
            'small': {'epochs': 2, 'late': 0.7, 'dropout': 0.1, 'tokenizer': 1},
            'large': {'dropout': 0.0, 'tokenizer': 1}}}
        sources = os.path.join(tmp, 'sources.json')
        with open(sources, 'w') as f:
            json.dump(table, f)
        run('data.py', texts, data, '--sources', sources)
        # These texts repeat themselves, so nothing would be left beside a held-out story: one of its own is measured.
        with open(os.path.join(data, 'heldout.json'), 'w') as f:
            json.dump({'small': [story(rng) for _ in range(5)]}, f)
        options = ['--steps', '24', '--batch', '4', '--length', '96', '--blocks', 'SAMS', '--d-model', '64', '--mlp-expand', '2',
                   '--warmup', '4', '--log-every', '8', '--evaluate-every', '100']
        whole, parts = os.path.join(tmp, 'whole'), os.path.join(tmp, 'parts')
        run('train.py', data, whole, *options)
        run('train.py', data, parts, *options, '--stop-at', '10')
        check(os.path.exists(os.path.join(parts, 'checkpoint.pt')), 'stopped with a checkpoint')
        run('train.py', data, parts, *options)
        import torch
        a, b = (torch.load(os.path.join(d, 'model.pt')) for d in (whole, parts))
        check(all(torch.equal(a[k], b[k]) for k in a), 'stop and resume gives the uninterrupted run, bit for bit')
        with open(os.path.join(whole, 'train.json')) as f:
            report = json.load(f)
        check(report['bits_per_byte']['small'] < 4.0, f'it learns: {report["bits_per_byte"]["small"]} bits a byte')
        check(abs(report['epochs']['small'] - 2) < 1.5, f'the small source was seen {report["epochs"]["small"]} times, 2 asked for')
        shared(data, tmp, [*options, '--steps', '1', '--warmup', '1'])
        out = os.path.join(tmp, 'out')
        run('export.py', whole, data, out)
        from safetensors.torch import load_file
        weights, golden = (load_file(os.path.join(out, f)) for f in ('model.safetensors', 'expected.safetensors'))
        check(weights['backbone.embedding.weight'].dtype == torch.float16 and weights['backbone.norm_f.weight'].dtype == torch.float32, 'float16 matrices, float32 vectors')
        from evaluate import load_model
        with torch.no_grad():
            again = load_model(out)(golden['p0.ids'].long()[None])[0]
        check((again - golden['p0.logits']).norm() < 1e-5 * golden['p0.logits'].norm(), 'expected logits agree in float32')
        check(all(len(golden[f'p{i}.greedy']) == len(golden[f'p{i}.ids']) + 60 for i in range(4)), '60 greedy tokens a prompt')
    print('smoke run passed')


if __name__ == '__main__':
    main()
