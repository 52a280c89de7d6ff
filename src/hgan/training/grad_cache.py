"""Gradient caching, for batches that take too much memory if all is encoded at once.

Gao et al., *Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup*, RepL4NLP
2021. Photos and captions are encoded in chunks, of which only the output is kept. In the backward
pass, each chunk is encoded once more, with the same random numbers, for its gradients. The same is
done here for the scores of pairs, in tiles of photos and captions: at the local level, the cosines
of all regions and words take more memory than the encoders do. The gradients are those of the whole
batch at once.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.encoding import concatenate, split
from hgan.model.matcher import Matcher

Part = TypeVar("Part", ImageBatch, TextBatch)


def cached_photos(network: Matcher, batch: ImageBatch, size: int) -> Encoded[Tensor]:
    """Encode photos in chunks of at most `size`."""
    return concatenate([_again(network.encode_photos, part) for part in batch.split(size)])


def cached_texts(network: Matcher, batches: list[TextBatch], size: int) -> Encoded[Tensor]:
    """Encode captions in chunks of at most `size`, each padded to its own longest caption."""
    parts = [part for batch in batches for part in batch.split(size)]
    return concatenate([_again(network.encode_text, part) for part in parts])


def _again(encode: Callable[[Part], Encoded[Tensor]], part: Part) -> Encoded[Tensor]:
    """Encode, and encode again in the backward pass."""
    # The mask is an argument only for its device, whose random state is kept.
    return checkpoint(lambda _: encode(part), part.mask, use_reentrant=False)


def cached_levels(
    network: Matcher, images: Encoded[Tensor], texts: Encoded[Tensor], photos: int, captions: int
) -> dict[str, Tensor]:
    """The similarity at each level, (B, T) each, in tiles of so many photos and captions."""
    columns = split(texts, captions)
    rows = [
        torch.cat([_tile(network, part, column) for column in columns], dim=2)
        for part in split(images, photos)
    ]
    return dict(zip(network.level_names, torch.cat(rows, dim=1), strict=True))


def _tile(network: Matcher, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Scores (L, b, t) of all L levels."""
    width = len(fields(Encoded))

    def score(*tensors: Tensor) -> Tensor:
        levels = network.levels(Encoded(*tensors[:width]), Encoded(*tensors[width:]))
        return torch.stack([levels[name] for name in network.level_names])

    # Reentrant: matchers that have a backward pass of their own keep nothing in the forward pass.
    tensors = *_tensors(images), *_tensors(texts)
    return checkpoint(score, *tensors, use_reentrant=True)


def _tensors(encoded: Encoded[Tensor]) -> tuple[Tensor, ...]:
    return tuple(getattr(encoded, field.name) for field in fields(Encoded))
