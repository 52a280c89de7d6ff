"""What baselines are given: the rows of a photo or sentence, with its context and the prior's
positions if the settings ask for them."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.data.batches.types import ImageBatch
from hgan.model.layers import scaled
from hgan.model.prior import Known
from hgan.text.encoder import TokenStates


def region_rows(batch: ImageBatch, context: bool) -> tuple[Tensor, Tensor]:
    """Features (B, n, D_v) of the regions, and of the photo as the last row if `context`; and the
    mask (B, n)."""
    return _with_whole(batch.regions, batch.context, batch.mask, context)


def word_rows(token: TokenStates, context: bool) -> tuple[Tensor, Tensor]:
    """States (T, n, D_t) of the tokens, and their mean as the last row if `context`; and the mask
    (T, n) of the words."""
    return _with_whole(token.states, token.context, token.words, context)


def with_prior(rows: Tensor, known: Known, context: bool) -> Tensor:
    """Rows (B, n, D) of `region_rows` or `word_rows` with the prior's positions of the same regions
    or words as further features, (B, n, D + P), which have about unit variance; as in HGAN."""
    assert known.rows is not None
    positions = torch.cat([known.rows, known.whole[:, None]], 1) if context else known.rows
    return torch.cat([rows, scaled(positions)], dim=-1)


def _with_whole(rows: Tensor, whole: Tensor, mask: Tensor, context: bool) -> tuple[Tensor, Tensor]:
    if not context:
        return rows, mask
    return torch.cat([rows, whole[:, None]], dim=1), F.pad(mask, (0, 1), value=True)
