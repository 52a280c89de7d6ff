"""Bidirectional hinge loss on the hardest negative (equation 18 of docs/model.md).

Faghri et al., *VSE++: Improving Visual-Semantic Embeddings with Hard Negatives*, BMVC 2018,
equations 4 and 5. By default, it is averaged over the batch, so that the gradient does not depend
on the batch size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hgan.config import Bounds
from hgan.training.losses.loss import LOSSES, Loss, LossConfig, own_captions


@dataclass
class HingeConfig(LossConfig):
    """Settings of the hinge loss."""

    bounds: ClassVar[Bounds] = {"margin": (0, inf), "warmup_epochs": (0, inf)}

    name: Literal["hinge"] = "hinge"
    """Name of the loss; the other keys depend on it."""
    margin: float = 0.2
    """Margin between the scores of the positive and of negatives."""
    warmup_epochs: int = 1
    """Number of first epochs with the mean over all negatives instead of the hardest negative,
    which at the start of training often leads to collapse."""
    reduction: Literal["mean", "sum"] = "mean"
    """Mean over the batch, or the sum, as in the paper: then the gradient grows with the batch, and
    optim.clip has more effect."""


@LOSSES.register
class Hinge(Loss):
    """Hinge loss: the mean over all negatives in the first epochs, then only the hardest."""

    Config = HingeConfig
    config: HingeConfig
    remedy = "raise loss.warmup_epochs or lower optim.learning_rate"

    def __init__(self, config: HingeConfig, names: Sequence[str]) -> None:
        super().__init__(config, names)
        self.hardest = True

    def start_epoch(self, epoch: int) -> None:
        """Use only the hardest negative after the warm-up epochs."""
        self.hardest = epoch >= self.config.warmup_epochs

    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        """The loss, a scalar, of scores (B, T) and the photo of each caption (T)."""
        scores, margin = scores.float(), self.config.margin
        own = own_captions(image_of, len(scores))  # (B, T)
        positive = scores.gather(0, image_of[None])  # (1, T)
        to_image = (margin + scores - positive).clamp_min(0).masked_fill(own, 0.0)  # (B, T)
        # For the photo of each positive caption t, all captions u of other photos are negatives.
        rows = scores[image_of]  # (T, T)
        to_text = (margin + rows - positive.T).clamp_min(0).masked_fill(own[image_of], 0.0)
        summed = self.config.reduction == "sum"
        if self.hardest:
            worst = torch.stack([to_image.amax(0), to_text.amax(1)])  # (2, T)
            return worst.sum() if summed else worst.mean(1).sum()
        if summed:
            return to_image.sum() + to_text.sum()
        return to_image.sum() / (~own).sum() + to_text.sum() / (~own[image_of]).sum()

    def chance_level(self, images: int, texts: float) -> float:
        """The margin for each direction; as often as there are terms, if they are summed."""
        if self.config.reduction == "mean":
            return 2 * self.config.margin
        terms = 2.0 if self.hardest else images - 1 + texts - texts / images
        return self.config.margin * texts * terms
