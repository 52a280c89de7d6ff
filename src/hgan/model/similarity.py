"""Three levels of similarity between B photos and T captions, and their weighted sum S."""

import torch
from torch import Tensor

from hgan.encoded import Encoded

CACHED = 1 << 19
"""Scores of words and regions made and reduced at once: about what a core's cache holds."""


def context_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Cosine of the contexts, (B, T)."""
    return images.context @ texts.context.T


def shared_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Mean over the K slots of the slots' cosine, (B, T)."""
    return images.slots.flatten(1) @ texts.slots.flatten(1).T / images.slots.shape[1]


def local_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Mean over the real words of the best real region's cosine, (B, T); zero without words."""
    photos, counts = len(images.mask), texts.mask.sum(1)
    # Only real words are compared: padding costs nothing and cannot leak.
    owner, words = texts.mask.nonzero(as_tuple=True)[0], texts.local[texts.mask]  # (P), (P, D_l)
    regions = images.local.flatten(0, 1).T  # (D_l, B * R)
    hidden = None if images.mask.all() else ~images.mask.flatten()
    step = max(1, CACHED // images.mask.numel())
    total = torch.zeros(len(counts), photos, device=words.device)
    for some, of in zip(torch.split(words, step), torch.split(owner, step), strict=True):
        scores = some @ regions  # (p, B * R)
        if hidden is not None:
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        best = scores.view(-1, *images.mask.shape).amax(-1).float()  # (p, B)
        total.index_add_(0, of, best)
    return total.T / counts.clamp_min(1)


SIMILARITY = {
    "context": context_similarity,
    "shared": shared_similarity,
    "local": local_similarity,
}
"""Level name to its similarity."""


def combine(levels: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """S, the weighted sum of the levels' scores, (B, T)."""
    return torch.stack([weights[name] * scores for name, scores in levels.items()]).sum(0)
