"""Three levels of similarity between B photos and T captions, and their weighted sum S."""

import torch
from torch import Tensor

from hgan.encoded import Encoded


def context_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Cosine of the contexts, (B, T)."""
    return images.context @ texts.context.T


def shared_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Mean over the K slots of the slots' cosine, (B, T)."""
    return images.slots.flatten(1) @ texts.slots.flatten(1).T / images.slots.shape[1]


def local_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Mean over the real words of the best real region's cosine, (B, T); zero without words."""
    words, counts = texts.mask.nonzero(as_tuple=True)[0], texts.mask.sum(1)
    # Only real words are compared: padding costs nothing and cannot leak.
    rows = texts.local[texts.mask]  # (P, D_l), all real words of the batch
    scores = torch.einsum("brd,pd->bpr", images.local, rows)  # (B, P, R)
    scores = scores.masked_fill(~images.mask[:, None], torch.finfo(scores.dtype).min)
    best = scores.amax(-1).float()  # (B, P)
    total = best.new_zeros(len(best), len(counts)).index_add_(1, words, best)
    return total / counts.clamp_min(1)


SIMILARITY = {
    "context": context_similarity,
    "shared": shared_similarity,
    "local": local_similarity,
}
"""Level name to its similarity."""


def combine(levels: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """S, the weighted sum of the levels' scores, (B, T)."""
    return torch.stack([weights[name] * scores for name, scores in levels.items()]).sum(0)
