"""Layers that several matchers use."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

LOW = torch.finfo(torch.float32).min
"""Score of a padded position before a softmax. Unlike minus infinity, it gives finite weights if
all positions of a row are padding."""


def unit(x: Tensor) -> Tensor:
    """Normalise rows to length one, in float32; a zero row stays zero, with a finite gradient."""
    return F.normalize(x.float(), dim=-1, eps=1e-6)


def ball(x: Tensor) -> Tensor:
    """Shorten rows of more than length one to length one, in float32; others stay as they are."""
    x = x.float()
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1.0)


def scaled(x: Tensor) -> Tensor:
    """Rows (..., D) of length sqrt(D), whose values have about unit variance, as features."""
    return unit(x) * x.shape[-1] ** 0.5


class FeatureDropout(nn.Module):
    """Dropout that sets a feature to zero in all regions or words of an item.

    The features of neighbouring regions are highly correlated, so that dropping a feature in only
    one region would remove little information.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of (B, n, d) or (B, d)."""
        if not self.training or self.chance == 0:
            return x
        shape = (x.shape[0], *[1] * (x.dim() - 2), x.shape[-1])
        return x * F.dropout(x.new_ones(shape), self.chance)


def projection(source_width: int, width: int, dropout: float, norm: bool = True) -> nn.Sequential:
    """A projection of backbone features (B, n, source_width) to (B, n, width).

    The papers of the baselines use only a linear layer (`norm` false), initialised as by Glorot and
    Bengio, AISTATS 2010. With the same norm and dropout as in HGAN, differences in the results come
    from the methods.
    """
    linear = nn.Linear(source_width, width)
    if norm:
        return nn.Sequential(nn.LayerNorm(source_width), FeatureDropout(dropout), linear)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear)
