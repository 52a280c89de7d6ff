"""Attention between regions and words, for SCAN and SGRAF.

Weights are not divided by their sum here: what a query attends to is normalised to length one. And
rows of padding are zero, so that they add nothing to it, whatever their weights are.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def cosines(regions: Tensor, words: Tensor) -> Tensor:
    """Cosines (b, R, n) of unit rows (b, R, D) and (b, n, D), or (1, n, D) for all photos."""
    return torch.einsum("brd,bnd->brn", regions, words)


def attention(cosine: Tensor, queries: int, inverse_temperature: float, leak: float) -> Tensor:
    """Attention weights, not divided by their sum over the keys.

    Args:
        cosine: (b, R, t, w) of regions and words.
        queries: dimension of the queries, over which the cosines of a key are normalised.
        inverse_temperature: factor of the normalised cosines.
        leak: part of a negative cosine that counts.
    """
    share = F.leaky_relu(cosine, leak) if leak else F.relu(cosine)
    length = torch.linalg.vector_norm(share, dim=queries, keepdim=True).clamp_min(1e-6)
    return (share * (inverse_temperature / length)).exp_()


def inverse_length(squared: Tensor, total: Tensor) -> Tensor:
    """One divided by the length of a weighted sum of unit rows.

    Args:
        squared: squared length, which may be negative by rounding if the rows cancel each other.
        total: sum of the weights.
    """
    least = (1e-6 * total.detach()).square().clamp_min(1e-30)
    return torch.maximum(squared, least).rsqrt()
