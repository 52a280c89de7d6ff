"""Score photos and captions block by block, for matchers that look at regions and words together.

What such a matcher computes for a pair is far larger than its score: for all pairs of a batch it
would fill the memory, and a block that fits the processor's cache is computed several times faster.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hgan.encoded import Encoded

PairScorer = Callable[[Encoded[Tensor], Encoded[Tensor]], Tensor]
"""Photos (b) and captions (t) to scores (b, t)."""


def score_blocks(
    images: Encoded[Tensor],
    texts: Encoded[Tensor],
    score: PairScorer,
    photos: int,
    captions: int,
) -> Tensor:
    """Scores (B, T) of all pairs, so many photos and captions at once.

    The scorer gets captions of similar length, their real words in front and without the padding
    that none of them needs, so that little computation is wasted.
    """
    columns, order = _caption_blocks(texts, captions)
    rows = _photo_blocks(images, photos)
    scores = torch.cat([torch.cat([score(row, column) for column in columns], 1) for row in rows])
    return scores[:, order.argsort()]


def _photo_blocks(images: Encoded[Tensor], size: int) -> list[Encoded[Tensor]]:
    # Split, not sliced: the gradient of many slices is as many tensors of the full size.
    fields = (images.context, images.slots, images.local, images.mask)
    return [Encoded(*block) for block in zip(*(torch.split(x, size) for x in fields), strict=True)]


def _caption_blocks(texts: Encoded[Tensor], size: int) -> tuple[list[Encoded[Tensor]], Tensor]:
    """Blocks of captions by length, and the captions' positions (T) in that order."""
    count = texts.mask.sum(1)  # (T)
    order = count.argsort()
    front = texts.mask.int().argsort(dim=1, descending=True, stable=True)  # (T, W), real ones first
    blocks = []
    for chosen in torch.split(order, size):
        longest = int(count[chosen].max())
        words = texts.local[chosen[:, None], front[chosen, :longest]]  # (t, longest, D_l)
        mask = torch.arange(longest, device=count.device) < count[chosen, None]
        blocks.append(Encoded(texts.context[chosen], texts.slots[chosen], words, mask))
    return blocks, order
