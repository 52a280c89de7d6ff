"""What baselines are given: the rows of a photo or sentence, and possibly its context as a row."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.config import Bounds
from hgan.data.batches.types import ImageBatch
from hgan.model.matcher import MatcherConfig
from hgan.text.encoder import TokenStates


@dataclass
class BaselineConfig(MatcherConfig):
    """Settings that all baselines have."""

    bounds: ClassVar[Bounds] = {"width": (1, inf), "dropout": (0, 1)}

    width: int = 512
    """Width D of the vectors of regions, words, photos and sentences."""
    dropout: float = 0.2
    """Dropout rate of the backbone features before the projection."""
    norm: bool = True
    """Layer norm and dropout before the projections, as in HGAN; the papers have a linear layer
    alone."""
    context: bool = False
    """Also give what HGAN is given: the backbone's features of the whole photo as one more region,
    and the mean of the token states as one more word."""


def region_rows(batch: ImageBatch, context: bool) -> tuple[Tensor, Tensor]:
    """Features (B, n, D_v) of the regions, and of the photo as the last row if `context`; and the
    mask (B, n)."""
    if not context:
        return batch.regions, batch.mask
    rows = torch.cat([batch.regions, batch.context[:, None]], dim=1)
    return rows, F.pad(batch.mask, (0, 1), value=True)


def word_rows(token: TokenStates, context: bool) -> tuple[Tensor, Tensor]:
    """States (T, n, D_t) of the tokens, and their mean as the last row if `context`; and the mask
    (T, n) of the words."""
    if not context:
        return token.states, token.words
    rows = torch.cat([token.states, token.context[:, None]], dim=1)
    return rows, F.pad(token.words, (0, 1), value=True)
