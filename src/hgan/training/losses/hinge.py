"""The bidirectional hinge on the hardest negative (equation 18 of docs/model.md).

Faghri et al., *VSE++: Improving Visual-Semantic Embeddings with Hard Negatives*, BMVC 2018,
equations 4 and 5; averaged over the batch, so that the learning rate does not depend on its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

from torch import Tensor

from hgan.config import Bounds
from hgan.training.losses.loss import LOSSES, Loss, LossConfig, own_captions


@dataclass
class HingeConfig(LossConfig):
    """The hinge on the hardest negative."""

    bounds: ClassVar[Bounds] = {"margin": (0, inf), "warmup_epochs": (0, inf)}

    name: Literal["hinge"] = "hinge"
    """Which loss; the other keys are its own settings."""
    margin: float = 0.2
    """By how much a positive must score higher than every negative."""
    warmup_epochs: int = 1
    """Epochs that take the mean of all negatives, not the hardest: with the hardest from the start,
    training tends to collapse."""


@LOSSES.register
class Hinge(Loss):
    """The mean over negatives in the first epochs, then the hardest alone."""

    Config = HingeConfig
    config: HingeConfig
    remedy = "raise loss.warmup_epochs or lower optim.learning_rate"

    def __init__(self, config: HingeConfig, names: Sequence[str]) -> None:
        super().__init__(config, names)
        self.hardest = True

    def start_epoch(self, epoch: int) -> None:
        """The hardest negative alone, once the warm-up is over."""
        self.hardest = epoch >= self.config.warmup_epochs

    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        """Scores (B, T) and the photo of each caption (T) to a scalar."""
        scores, margin = scores.float(), self.config.margin
        own = own_captions(image_of, len(scores))  # (B, T)
        positive = scores.gather(0, image_of[None])  # (1, T)
        to_image = (margin + scores - positive).clamp_min(0).masked_fill(own, 0.0)  # (B, T)
        # From photo b with positive t, against every caption u of another photo.
        rows = scores[image_of]  # (T, T)
        to_text = (margin + rows - positive.T).clamp_min(0).masked_fill(own[image_of], 0.0)
        if self.hardest:
            return to_image.amax(0).mean() + to_text.amax(1).mean()
        return to_image.sum() / (~own).sum() + to_text.sum() / (~own[image_of]).sum()

    def chance_level(self, images: int, texts: float) -> float:
        """Twice the margin: once for each direction."""
        return 2 * self.config.margin
