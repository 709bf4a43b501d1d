"""Trains the embedded model on a data folder; stops and resumes.

    python3 train.py DATA OUT --steps 20000                          one go
    python3 train.py DATA OUT --steps 20000 --stop-after 560         stops after 560 seconds and writes OUT/checkpoint.pt;
    python3 train.py DATA OUT --steps 20000 --fit 540                the same command resumes it, here with the number of
                                                                     steps changed so that the rest takes 540 seconds
Muon for the matrices, AdamW for the rest; the rate is flat after a warm-up and falls linearly from --decay-from on.
Batches are drawn without replacement: each source is read in windows in a new order each epoch, so that a resumed run
sees what an uninterrupted one would have. Started by `torchrun --nproc-per-node N`, N processes (one GPU each) share
the rows of the same batches; gradients are averaged, every process makes the same step. OUT gets model.pt (float32), config.json, tokenizer.json, train.json.
"""
import argparse, json, os, shutil, time
import numpy as np
import torch
import torch.distributed as dist
from model import Rene, config

BLOCKS = 'SSMSASMSSMSASM'


class Source:
    """A token stream read in windows of `length`, a new phase and order each epoch."""

    def __init__(self, tokens, length, seed, device):
        self.tokens, self.length, self.seed = torch.from_numpy(tokens.view(np.int16)).to(device), length, seed
        self.taken = 0                       # windows so far: the whole state
        self.per_epoch = (len(tokens) - 1) // length - 1
        self.epoch, self.order = -1, None

    def window(self):
        epoch, i = divmod(self.taken, self.per_epoch)
        if epoch != self.epoch:
            rng = np.random.default_rng((*self.seed, epoch))
            self.epoch, self.phase, self.order = epoch, int(rng.integers(self.length)), rng.permutation(self.per_epoch)
        self.taken += 1
        return self.phase + int(self.order[i]) * self.length

    def batch(self, n):
        starts = torch.tensor([self.window() for _ in range(n)], device=self.tokens.device)
        x = self.tokens[starts[:, None] + torch.arange(self.length + 1, device=starts.device)]
        return x.long() & 0xFFFF             # the stored int16 are uint16

    @property
    def epochs(self):
        return self.taken / self.per_epoch


def mixture(table, sizes, total, batch, late_from):
    """{source: (share of rows before late_from, share after)}: `epochs` of each source, the one without takes the rest."""
    early, late = {}, {}
    for name, rule in table.items():
        if name in sizes and 'epochs' in rule:
            tokens = sizes[name]['tokens'] * rule['epochs']
            late[name] = min(0.5, tokens * rule['late'] / (total * (1 - late_from)))
            early[name] = min(0.5, tokens * (1 - rule['late']) / (total * late_from))
    rest = [n for n in sizes if 'epochs' not in table[n]]
    for shares in (early, late):
        left = 1 - sum(shares.values())
        if left < 0 or (left > 1e-6 and not rest):
            shares.update({n: s / sum(shares.values()) for n, s in shares.items()})
            left = 0
        shares.update({n: left * sizes[n]['tokens'] / sum(sizes[m]['tokens'] for m in rest) for n in rest})
    return early, late


class Muon:
    """Momentum, then the nearest orthogonal matrix by five Newton-Schulz steps; equal shapes go together."""

    def __init__(self, parameters, weight_decay):
        self.groups, self.weight_decay = {}, weight_decay
        for p in parameters:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.momentum = {s: torch.zeros(len(g), *s, device=g[0].device) for s, g in self.groups.items()}

    @staticmethod
    def direction(grad, momentum, beta):
        momentum.lerp_(grad, 1 - beta)
        x = grad.lerp(momentum, beta).bfloat16()
        tall = x.size(1) > x.size(2)
        x = x.mT if tall else x
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(5):
            a = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
        return (x.mT if tall else x).float()

    @torch.no_grad()
    def step(self, rate, beta):
        for shape, group in self.groups.items():
            d = self.direction(torch.stack([p.grad for p in group]), self.momentum[shape], beta)
            torch._foreach_mul_(group, 1 - rate * self.weight_decay)
            torch._foreach_add_(group, list(d.unbind()), alpha=-rate * max(1, shape[0] / shape[1]) ** 0.5)
            for p in group:
                p.grad = None


class Group:
    """The processes that share a batch: one, or those that torchrun started."""

    def __init__(self):
        self.rank, self.size = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
        self.device = f'cuda:{os.environ.get("LOCAL_RANK", 0)}' if torch.cuda.is_available() else 'cpu'
        if self.device != 'cpu':
            torch.cuda.set_device(self.device)
        if self.size > 1:
            dist.init_process_group('nccl' if self.device != 'cpu' else 'gloo')

    def average(self, parameters):
        """Gradients become their mean over the processes, all in one message."""
        if self.size > 1:
            grads = [p.grad for p in parameters]
            flat = torch.cat([g.reshape(-1) for g in grads])
            dist.all_reduce(flat)
            torch._foreach_copy_(grads, [f.view_as(g) for f, g in zip((flat / self.size).split([g.numel() for g in grads]), grads)])

    def agree(self, value):
        """Process 0's number in all processes: clocks differ, decisions must not."""
        if self.size > 1:
            t = torch.tensor(float(value), dtype=torch.float64, device=self.device)
            dist.broadcast(t, 0)
            return t.item()
        return value

    def leave(self):
        if self.size > 1:
            dist.barrier()
            dist.destroy_process_group()


def rate_at(progress, step, warmup, decay_from):
    return min(1.0, (step + 1) / warmup) * (1.0 if progress < decay_from else max(0.01, (1 - progress) / (1 - decay_from)))


def main(argv=None):
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument('data'); arg.add_argument('out')
    arg.add_argument('--steps', type=int, required=True)
    arg.add_argument('--batch', type=int, default=64); arg.add_argument('--length', type=int, default=1024)
    arg.add_argument('--blocks', default=BLOCKS); arg.add_argument('--d-model', type=int, default=384)
    arg.add_argument('--mlp-expand', type=float, default=2.5)
    arg.add_argument('--chunk', type=int, default=64, help='tokens in a chunk of the recurrence: speed only')
    arg.add_argument('--muon-rate', type=float, default=0.02); arg.add_argument('--adam-rate', type=float, default=3e-3)
    arg.add_argument('--warmup', type=int, default=200); arg.add_argument('--decay-from', type=float, default=0.45)
    arg.add_argument('--seed', type=int, default=1)
    arg.add_argument('--stop-after', type=float, help='seconds from the start of the program')
    arg.add_argument('--stop-at', type=int, help='stops before this step')
    arg.add_argument('--fit', type=float, help='change --steps so that the run ends this many seconds from the start of the program')
    arg.add_argument('--log-every', type=int, default=500)
    arg.add_argument('--evaluate-every', type=int, default=4000, help='steps between evaluations; each also writes a checkpoint')
    a = arg.parse_args(argv)
    began = time.time()
    group = Group()
    device, kind, lead = group.device, group.device.split(':')[0], group.rank == 0
    if a.batch % group.size:
        raise SystemExit(f'--batch {a.batch} must be a multiple of the {group.size} processes')
    say = (lambda *what: print(*what, flush=True)) if lead else lambda *what: None
    torch.set_float32_matmul_precision('high')
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.data, 'data.json')) as f:
        info = json.load(f)
    table, sizes = info['table']['sources'], info['sizes']
    late_from = info['table']['late_from']
    names = [n for n in table if n in sizes]
    sources = {n: Source(np.fromfile(os.path.join(a.data, n + '.bin'), dtype=np.uint16), a.length, (a.seed, i), device)
               for i, n in enumerate(names)}
    drop_rates = {n: table[n]['dropout'] for n in names}
    cfg = config(a.blocks, a.d_model, info['table']['tokenizer']['vocab_size'], a.mlp_expand)
    model = Rene(cfg).to(device)
    for m in model.modules():
        if hasattr(m, 'chunk'):
            m.chunk = a.chunk
    matrices = [p for n, p in model.named_parameters() if n.endswith('_proj.weight')]
    others = [p for n, p in model.named_parameters() if not n.endswith('_proj.weight')]
    muon = Muon(matrices, weight_decay=0.05)
    adam = torch.optim.AdamW(others, lr=a.adam_rate, betas=(0.9, 0.95), weight_decay=0.0, eps=1e-10, fused=kind == 'cuda')
    step, spent, steps = 0, 0.0, a.steps
    checkpoint = os.path.join(a.out, 'checkpoint.pt')
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint, map_location=device)
        model.load_state_dict(saved['model']); adam.load_state_dict(saved['adam'])
        for shape, m in saved['muon'].items():
            muon.momentum[shape].copy_(m)
        for n, taken in saved['taken'].items():
            sources[n].taken = taken
        step, spent = saved['step'], saved['seconds']
        say(f'resumed at step {step}')
    say(f'{sum(p.numel() for p in model.parameters()) / 1e6:.3f} M parameters, {group.size} x {kind}, {time.time() - began:.1f} s')

    def loss_of(ids, targets, drop):
        with torch.autocast(kind, torch.bfloat16, enabled=kind == 'cuda'):
            return model(ids, targets, drop)
    compute = torch.compile(loss_of, dynamic=False) if kind == 'cuda' else loss_of

    def draw(step, progress):
        """This process's rows of a step's batch, which depends on the seed, the step and the windows taken, nothing else."""
        early, late = mixture(table, sizes, steps * a.batch * a.length, a.batch, late_from)
        shares = late if progress >= late_from else early
        counts = np.random.default_rng((a.seed, step)).multinomial(a.batch, [shares[n] for n in names])
        x = torch.cat([sources[n].batch(c) for n, c in zip(names, counts) if c])[group.rank::group.size]
        drop = torch.tensor([drop_rates[n] for n, c in zip(names, counts) for _ in range(c)][group.rank::group.size], device=device)
        return x[:, :-1].contiguous(), x[:, 1:].contiguous(), drop[:, None, None]

    def evaluate():
        from evaluate import bits_per_byte, read_held_out
        from tokenizers import Tokenizer
        model.eval()
        with torch.autocast(kind, torch.bfloat16, enabled=kind == 'cuda'):
            r = bits_per_byte(model, read_held_out(a.data, Tokenizer.from_file(os.path.join(a.data, 'tokenizer.json'))), device)
        model.train()
        return {k: round(v, 4) for k, v in r.items()}

    def save(path, **extra):
        torch.save(dict(model=model.state_dict(), adam=adam.state_dict(), muon=muon.momentum, step=step,
                        seconds=spent + time.time() - start, taken={n: s.taken for n, s in sources.items()}, **extra), path + '.part')
        os.replace(path + '.part', path)

    start, first, timed = time.time(), step, None
    model.train()
    while step < steps:
        if a.fit and timed and step % 100 == 0:
            pace = (time.time() - timed[1]) / (step - timed[0])
            steps = int(group.agree(max(step + 1, step + int((a.fit - (time.time() - began)) / pace))))
        late = a.stop_after and step % 10 == 0 and group.agree(time.time() - began) > a.stop_after
        if late or (step == a.stop_at and step > first):
            if lead:
                save(checkpoint)
                say(f'stopped at step {step} of {steps}, {checkpoint} written; evaluation {evaluate()}')
            return group.leave()
        progress = step / steps
        ids, targets, drop = draw(step, progress)
        torch.manual_seed((a.seed * 1_000_003 + step) * group.size + group.rank)
        loss = compute(ids, targets, drop)
        loss.backward()
        group.average(matrices + others)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        f = rate_at(progress, step, a.warmup, a.decay_from)
        for g in adam.param_groups:
            g['lr'] = a.adam_rate * f
        muon.step(a.muon_rate * f, min(0.95, 0.85 + step / 3000))
        adam.step(); adam.zero_grad(set_to_none=True)
        step += 1
        if step == first + 20:
            if kind == 'cuda':
                torch.cuda.synchronize()
            timed = (step, time.time())
            say(f'first 20 steps {time.time() - start:.1f} s')
        if step % a.log_every == 0 and timed:
            pace = (time.time() - timed[1]) / max(1, step - timed[0])
            say(f'{step}/{steps} loss {loss.item():.3f} {pace * 1e3:.1f} ms a step, {a.batch * a.length / pace / 1e3:.0f} k tokens/s')
        if step % a.evaluate_every == 0 and lead:
            say(f'{step} bits per byte {evaluate()}')
            save(checkpoint)

    if kind == 'cuda':
        torch.cuda.synchronize()
    if not lead:
        return group.leave()
    spent += time.time() - start
    torch.save({k: v.cpu() for k, v in model.state_dict().items()}, os.path.join(a.out, 'model.pt'))
    with open(os.path.join(a.out, 'config.json'), 'w') as f:
        json.dump(cfg, f, indent=1)
    shutil.copy(os.path.join(a.data, 'tokenizer.json'), os.path.join(a.out, 'tokenizer.json'))
    report = dict(steps=step, tokens=step * a.batch * a.length, seconds=round(spent, 1), batch=a.batch, length=a.length, seed=a.seed,
                  device=(f'{group.size} x ' if group.size > 1 else '') + (torch.cuda.get_device_name() if kind == 'cuda' else 'CPU'),
                  parameters=sum(p.numel() for p in model.parameters()),
                  epochs={n: round(s.epochs, 2) for n, s in sources.items()}, bits_per_byte=evaluate())
    with open(os.path.join(a.out, 'train.json'), 'w') as f:
        json.dump(report, f, indent=1)
    say(json.dumps(report))
    group.leave()


if __name__ == '__main__':
    main()
