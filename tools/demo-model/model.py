"""Pixtral in PyTorch, small enough to read in one sitting.

Parameter names are those of Mistral's checkpoints, so `state_dict()` is the
file.  Both parts work on rows of packed sequences: the caller says at which
position each token stands and which tokens may see each other (`visible`, a
mask as `scaled_dot_product_attention` takes it).
"""

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class VisionConfig:
    hidden_size: int = 256
    num_channels: int = 3
    image_size: int = 256
    patch_size: int = 16
    rope_theta: float = 10000.0
    intermediate_size: int = 512
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    adapter_bias: bool = True
    image_token_id: int = 10
    image_break_token_id: int = 12
    image_end_token_id: int = 13


@dataclass(frozen=True)
class Config:
    """params.json.  Every row length is a multiple of 256, which the k-quants need."""

    dim: int = 256
    n_layers: int = 5
    head_dim: int = 64
    hidden_dim: int = 512
    n_heads: int = 8
    n_kv_heads: int = 2
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    vocab_size: int = 2048
    vision_encoder: VisionConfig = field(default_factory=VisionConfig)

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> "Config":
        return Config(**{**values, "vision_encoder": VisionConfig(**values["vision_encoder"])})


def rotation(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine with a head axis: (rows, length, 1, pairs)."""
    return angles.cos().unsqueeze(2), angles.sin().unsqueeze(2)


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding on neighbouring pairs (2j, 2j + 1)."""
    cos, sin = turn
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, kv_heads: int, head_dim: int):
        super().__init__()
        self.head_dim, self.groups = head_dim, heads // kv_heads
        self.wq = nn.Linear(dim, heads * head_dim, bias=False)
        self.wk = nn.Linear(dim, kv_heads * head_dim, bias=False)
        self.wv = nn.Linear(dim, kv_heads * head_dim, bias=False)
        self.wo = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], visible: Tensor) -> Tensor:
        q, k, v = (w(x).unflatten(-1, (-1, self.head_dim)) for w in (self.wq, self.wk, self.wv))
        q, k = rotate(q, turn), rotate(k, turn)
        k, v = (t.repeat_interleave(self.groups, 2) for t in (k, v))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (rows, heads, length, head_dim)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible.unsqueeze(1))
        return self.wo(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    def __init__(self, dim: int, hidden: int, heads: int, kv_heads: int, head_dim: int, eps: float):
        super().__init__()
        self.attention = Attention(dim, heads, kv_heads, head_dim)
        self.feed_forward = FeedForward(dim, hidden)
        self.attention_norm = RMSNorm(dim, eps)
        self.ffn_norm = RMSNorm(dim, eps)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], visible: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), turn, visible)
        return x + self.feed_forward(self.ffn_norm(x))


class VisionTransformer(nn.Module):
    def __init__(self, c: VisionConfig, eps: float):
        super().__init__()
        head_dim, heads = c.hidden_size // c.num_attention_heads, c.num_attention_heads
        self.layers = nn.ModuleList(
            Block(c.hidden_size, c.intermediate_size, heads, heads, head_dim, eps) for _ in range(c.num_hidden_layers))


class VisionEncoder(nn.Module):
    """The tower: patches in, one vector a patch out, without a final norm."""

    def __init__(self, c: VisionConfig, eps: float):
        super().__init__()
        self.c = c
        self.patch_conv = nn.Conv2d(c.num_channels, c.hidden_size, c.patch_size, c.patch_size, bias=False)
        self.ln_pre = RMSNorm(c.hidden_size, eps)
        self.transformer = VisionTransformer(c, eps)
        head_dim = c.hidden_size // c.num_attention_heads
        frequencies = c.rope_theta ** (-torch.arange(0, head_dim, 2).double() / head_dim)
        self.register_buffer("frequencies", frequencies.float(), persistent=False)

    def forward(self, patches: Tensor, row: Tensor, column: Tensor, visible: Tensor) -> Tensor:
        """patches (rows, length, 16 * 16 * 3) in the order y, x, channel; row and column (rows, length).

        `visible` (rows, length, length) must keep the patches of different images apart.
        """
        weight = self.patch_conv.weight.permute(0, 2, 3, 1).flatten(1)
        x = self.ln_pre(F.linear(patches, weight))
        angles = torch.cat((row.unsqueeze(-1) * self.frequencies[0::2], column.unsqueeze(-1) * self.frequencies[1::2]), -1)
        turn = rotation(angles)
        for layer in self.transformer.layers:
            x = layer(x, turn, visible)
        return x


class Adapter(nn.Module):
    def __init__(self, vision_dim: int, dim: int, bias: bool):
        super().__init__()
        self.w_in = nn.Linear(vision_dim, dim, bias=bias)
        self.w_out = nn.Linear(dim, dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_out(F.gelu(self.w_in(x)))


class Pixtral(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.tok_embeddings = nn.Embedding(c.vocab_size, c.dim)
        self.layers = nn.ModuleList(
            Block(c.dim, c.hidden_dim, c.n_heads, c.n_kv_heads, c.head_dim, c.norm_eps) for _ in range(c.n_layers))
        self.norm = RMSNorm(c.dim, c.norm_eps)
        self.output = nn.Linear(c.dim, c.vocab_size, bias=False)
        self.vision_encoder = VisionEncoder(c.vision_encoder, c.norm_eps)
        self.vision_language_adapter = Adapter(c.vision_encoder.hidden_size, c.dim, c.vision_encoder.adapter_bias)
        frequencies = c.rope_theta ** (-torch.arange(0, c.head_dim, 2).double() / c.head_dim)
        self.register_buffer("frequencies", frequencies.float(), persistent=False)

    def decode(self, x: Tensor, position: Tensor, visible: Tensor) -> Tensor:
        """Hidden states after the final norm; x (rows, length, dim), visible (rows, length, length)."""
        turn = rotation(position.unsqueeze(-1) * self.frequencies)
        for layer in self.layers:
            x = layer(x, turn, visible)
        return self.norm(x)


def initialise(model: Pixtral, seed: int) -> None:
    """Small normal weights; layers that write to the residual stream start smaller."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        fan_in = parameter[0].numel()
        std = 0.5 if name == "tok_embeddings.weight" else fan_in ** -0.5
        if name.endswith(("wo.weight", "feed_forward.w2.weight")):
            std *= 0.25
        if name == "output.weight":
            std *= 0.1
        parameter.data.normal_(0.0, std, generator=generator)
