"""Layers that several matchers share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

LOW = torch.finfo(torch.float32).min
"""Score of a padded position before a softmax. Unlike minus infinity, it gives finite weights in a
row where every position is padded."""


def unit(x: Tensor) -> Tensor:
    """Rows of length one, in float32; a zero row stays zero, with a finite gradient."""
    return F.normalize(x.float(), dim=-1, eps=1e-6)


class FeatureDropout(nn.Module):
    """Dropout that removes a feature from all regions or words of an item at once.

    The region features of one photo are highly correlated: a value that is dropped in one region
    could be read from its neighbours.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, d) or (B, d) to the same."""
        if not self.training or self.chance == 0:
            return x
        shape = (x.shape[0], *[1] * (x.dim() - 2), x.shape[-1])
        return x * F.dropout(x.new_ones(shape), self.chance)


def projection(source_width: int, width: int, dropout: float) -> nn.Sequential:
    """One linear layer from backbone features (B, n, source_width) to (B, n, width).

    The compared methods' papers have a plain linear layer here. Norm and dropout are those of
    HGAN's towers, so that a difference in the results is a difference between the methods.
    """
    return nn.Sequential(
        nn.LayerNorm(source_width), FeatureDropout(dropout), nn.Linear(source_width, width)
    )
