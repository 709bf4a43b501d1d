"""Rene in plain PyTorch: Mamba-2 (SSD in chunks), GELU MLP, sliding-window attention without positions.

Parameter names are the published ones (backbone.layers.N.mixer...). `forward` runs in the dtype of the weights or
under autocast; in float64 it is the reference that export.py computes expected logits with.
"""
import math
import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, d, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        f = x if x.dtype == torch.float64 else x.float()
        return (f * torch.rsqrt(f.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight.to(x.dtype)


def ssd(x, dt, A, B, C, chunk):
    """The recurrence h = exp(dt A) h + dt x B, y = C h in matmul form, decays in float32 or better.

    x (b, l, h, p), dt (b, l, h), A (h), B and C (b, l, n) shared by all heads; l is a multiple of chunk. Returns (b, l, h, p).
    Products with B and C run over all heads at once (h p as one dimension), so that neither is copied for each head.
    """
    b, l, h, p = x.shape
    c, n = l // chunk, B.shape[-1]
    cum = torch.cumsum((dt * A).view(b, c, chunk, h), 2)                                     # b c t h, falling
    x = (x * dt[..., None].to(x.dtype)).view(b, c, chunk, h, p)
    B, C = B.view(b, c, chunk, n), C.view(b, c, chunk, n)
    at = cum.transpose(2, 3)                                                                 # b c h t
    causal = torch.ones(chunk, chunk, device=x.device, dtype=torch.bool).tril()
    decay = torch.exp((at[..., :, None] - at[..., None, :]).masked_fill(~causal, -1e30)).to(x.dtype)
    y = ((C @ B.mT)[:, :, None] * decay) @ x.transpose(2, 3)                                 # b c h t p: within a chunk
    to_end = torch.exp(cum[:, :, -1:] - cum).to(x.dtype)
    local = (B.mT @ (x * to_end[..., None]).view(b, c, chunk, h * p)).view(b, c, n, h, p)    # a chunk's own state
    total = torch.exp(cum[:, :, -1])                                                         # b c h
    state, before = torch.zeros(b, n, h, p, device=x.device, dtype=total.dtype), []
    for i in range(c):                                                                       # states carried between chunks
        before.append(state.to(x.dtype))
        state = state * total[:, i, None, :, None] + local[:, i].to(total.dtype)
    carried = (C @ torch.stack(before, 1).view(b, c, n, h * p)).view(b, c, chunk, h, p)
    return (y.transpose(2, 3) + carried * torch.exp(cum).to(x.dtype)[..., None]).reshape(b, l, h, p)


class Mamba2(nn.Module):
    def __init__(self, d, d_state=128, headdim=64, expand=2, d_conv=4, chunk=64, norm_before_gate=False):
        super().__init__()
        self.d_inner, self.p, self.n, self.k = d * expand, headdim, d_state, d_conv
        self.h, self.chunk, self.norm_before_gate = self.d_inner // headdim, chunk, norm_before_gate
        self.conv_dim = self.d_inner + 2 * d_state
        self.in_proj = nn.Linear(d, self.d_inner + self.conv_dim + self.h, bias=False)
        self.conv1d = nn.Conv1d(self.conv_dim, self.conv_dim, d_conv, groups=self.conv_dim)  # holds the parameters
        dt = torch.exp(torch.rand(self.h) * math.log(100) + math.log(1e-3))                  # 0.001 to 0.1
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.log(torch.empty(self.h).uniform_(1, 16)))
        self.D = nn.Parameter(torch.ones(self.h))
        self.norm = RMSNorm(self.d_inner)
        self.out_proj = nn.Linear(self.d_inner, d, bias=False)

    def conv(self, x):
        """Causal depthwise convolution as k shifted products: the library's depthwise kernels are far slower."""
        w = self.conv1d.weight.to(x.dtype)                                                   # c 1 k
        pad, l = F.pad(x, (0, 0, self.k - 1, 0)), x.shape[1]
        y = self.conv1d.bias.to(x.dtype)
        for i in range(self.k):
            y = y + pad[:, i:i + l] * w[:, 0, i]
        return F.silu(y)

    def forward(self, u):
        b, l, _ = u.shape
        z, xBC, dt = self.in_proj(u).split([self.d_inner, self.conv_dim, self.h], -1)
        xBC = self.conv(xBC)
        high = u.dtype if u.dtype == torch.float64 else torch.float32
        dt = F.softplus(dt.to(high) + self.dt_bias)
        extra = -l % self.chunk                                                              # padding at the end changes nothing before
        xBC, dt = F.pad(xBC, (0, 0, 0, extra)), F.pad(dt, (0, 0, 0, extra))
        x, B, C = xBC.split([self.d_inner, self.n, self.n], -1)
        x = x.reshape(b, l + extra, self.h, self.p)
        y = ssd(x, dt, -torch.exp(self.A_log.to(high)), B, C, self.chunk) + x * self.D.to(x.dtype)[:, None]
        y = y[:, :l].reshape(b, l, self.d_inner)
        y = self.norm(y) * F.silu(z) if self.norm_before_gate else self.norm(y * F.silu(z))
        return self.out_proj(y)


class Attention(nn.Module):
    def __init__(self, d, num_heads, num_heads_kv=1, head_dim=64, sliding_window_length=256, **_):
        super().__init__()
        self.h, self.kv, self.dh, self.window = num_heads, num_heads_kv, head_dim, sliding_window_length
        self.in_proj = nn.Linear(d, head_dim * (num_heads + 2 * num_heads_kv), bias=False)
        self.out_proj = nn.Linear(head_dim * num_heads, d, bias=False)

    def forward(self, x):
        b, l, _ = x.shape
        q, k, v = self.in_proj(x).split([self.h * self.dh, self.kv * self.dh, self.kv * self.dh], -1)
        q, k, v = (t.view(b, l, -1, self.dh).transpose(1, 2) for t in (q, k, v))
        k, v = (t.repeat_interleave(self.h // self.kv, 1) for t in (k, v))
        near = torch.ones(l, l, device=x.device, dtype=torch.bool).tril().triu(1 - self.window)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v, attn_mask=near).transpose(1, 2).reshape(b, l, -1))


class MLP(nn.Module):
    def __init__(self, d, expand=3, bias=False):
        super().__init__()
        hidden = int(round(expand * d))
        self.in_proj, self.out_proj = nn.Linear(d, hidden, bias=bias), nn.Linear(hidden, d, bias=bias)

    def forward(self, x):
        return self.out_proj(F.gelu(self.in_proj(x)))


class Block(nn.Module):
    def __init__(self, d, mixer):
        super().__init__()
        self.norm, self.mixer = RMSNorm(d), mixer

    def forward(self, x, drop=None):
        y = self.mixer(self.norm(x))
        if drop is not None:                                                                 # (b, 1, 1): each row has its own rate
            y = y * (torch.rand_like(y, dtype=torch.float32) >= drop).to(y.dtype) / (1 - drop).to(y.dtype)
        return x + y


class Backbone(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d, multiple = cfg['d_model'], cfg['pad_vocab_size_multiple']
        self.embedding = nn.Embedding(-(-cfg['vocab_size'] // multiple) * multiple, d)
        mixers = [Attention(d, **cfg['attn_cfg']) if i in cfg['attn_layer_idx'] else
                  MLP(d, **cfg['mlp_cfg']) if i in cfg['mlp_layer_idx'] else Mamba2(d, **cfg['ssm_cfg'])
                  for i in range(cfg['n_layer'])]
        self.layers = nn.ModuleList(Block(d, m) for m in mixers)
        self.norm_f = RMSNorm(d)

    def forward(self, ids, drop=None):
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, drop)
        return self.norm_f(x)


class Rene(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg, self.backbone = cfg, Backbone(cfg)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)
                if name.endswith('out_proj.weight'):
                    p.data /= math.sqrt(cfg['n_layer'])

    def forward(self, ids, targets=None, drop=None):
        """Logits (b, l, vocabulary), or the mean loss in nats if targets are given."""
        h = self.backbone(ids, drop)
        logits = h @ self.backbone.embedding.weight.T.to(h.dtype)
        if targets is None:
            return logits
        return F.cross_entropy(logits.float().view(-1, logits.size(-1)), targets.reshape(-1))


def config(blocks, d_model, vocab_size, mlp_expand, window=256, d_state=64):
    """A published-style config from a string of blocks: S Mamba-2, M MLP, A attention."""
    index = lambda kind: [i for i, b in enumerate(blocks) if b == kind]
    return dict(
        d_model=d_model, n_layer=len(blocks), vocab_size=vocab_size, pad_vocab_size_multiple=16,
        attn_layer_idx=index('A'),
        attn_cfg=dict(causal=True, head_dim=64, num_heads=d_model // 64, num_heads_kv=1, qkv_proj_bias=False,
                      out_proj_bias=False, sliding_window_length=window),
        mlp_layer_idx=index('M'), mlp_cfg=dict(expand=mlp_expand, bias=False),
        ssm_cfg=dict(d_state=d_state, headdim=64, norm_before_gate=True),
        model_type='rene', architectures=['ReneLMHeadModel'], rms_norm=True, residual_in_fp32=True,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, pad_token_id=0)
