"""Score photos and captions in blocks, for matchers that compare regions with words.

The intermediate results of such a matcher are much larger than the scores. For all pairs of a batch
they would not fit in memory, and blocks that fit in the processor's cache are several times faster.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hgan.encoded import Encoded

PairScorer = Callable[[Encoded[Tensor], Encoded[Tensor]], Tensor]
"""A function from b photos and t captions to scores (b, t)."""


def score_blocks(
    images: Encoded[Tensor],
    texts: Encoded[Tensor],
    score: PairScorer,
    photos: int,
    captions: int,
) -> Tensor:
    """Scores (B, T) of all pairs, computed in blocks of `photos` x `captions` pairs.

    Captions are sorted by length, and their words are moved to the front, so that the blocks have
    little padding.
    """
    columns, order = _caption_blocks(texts, captions)
    rows = _photo_blocks(images, photos)
    scores = torch.cat([torch.cat([score(row, column) for column in columns], 1) for row in rows])
    return scores[:, order.argsort()]


def _photo_blocks(images: Encoded[Tensor], size: int) -> list[Encoded[Tensor]]:
    # Not by slicing: the backward pass of each slice would create a tensor of the full size.
    fields = (images.context, images.slots, images.local, images.mask)
    return [Encoded(*block) for block in zip(*(torch.split(x, size) for x in fields), strict=True)]


def _caption_blocks(texts: Encoded[Tensor], size: int) -> tuple[list[Encoded[Tensor]], Tensor]:
    """Blocks of captions sorted by length, and the positions (T) of the captions in that order."""
    count = texts.mask.sum(1)  # (T)
    order = count.argsort()
    front = texts.mask.int().argsort(dim=1, descending=True, stable=True)  # (T, W), words first
    blocks = []
    for chosen in torch.split(order, size):
        longest = int(count[chosen].max())
        words = texts.local[chosen[:, None], front[chosen, :longest]]  # (t, longest, D_l)
        mask = torch.arange(longest, device=count.device) < count[chosen, None]
        blocks.append(Encoded(texts.context[chosen], texts.slots[chosen], words, mask))
    return blocks, order
