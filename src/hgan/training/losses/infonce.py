"""Symmetric InfoNCE with a learned temperature for each score (equation 17 of docs/model.md).

Radford et al., *Learning Transferable Visual Models From Natural Language Supervision* (CLIP), ICML
2021; with several captions a photo, as HREM and LAPS have them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.config import Bounds
from hgan.training.losses.loss import LOSSES, Loss, LossConfig, own_captions

MIN_TEMPERATURE = 0.01
"""Bound on each temperature, as in CLIP, for stability."""


@dataclass
class InfoNCEConfig(LossConfig):
    """Symmetric InfoNCE with learned temperatures."""

    bounds: ClassVar[Bounds] = {"temperature": (MIN_TEMPERATURE, inf), "smoothing": (0, 1)}

    name: Literal["infonce"] = "infonce"
    """Which loss; the other keys are its own settings."""
    temperature: float = 0.05
    """Where the learned temperatures start."""
    smoothing: float = 0.0
    """Share of the target that is spread evenly over the negatives, in both directions."""


@LOSSES.register
class InfoNCE(Loss):
    """From a photo, each of its captions is contrasted with the captions of the other photos; from
    a caption, its photo is contrasted with the other photos."""

    Config = InfoNCEConfig
    config: InfoNCEConfig

    def __init__(self, config: InfoNCEConfig, names: Sequence[str]) -> None:
        super().__init__(config, names)
        start = torch.tensor(1.0 / config.temperature).log()
        self.log_scale = nn.ParameterDict({n: nn.Parameter(start.clone()) for n in names})

    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        """Scores (B, T) and the photo of each caption (T) to a scalar."""
        logits = scores.float() * self.log_scale[name].exp()  # (B, T)
        own = own_captions(image_of, len(logits))  # (B, T)
        positive = logits.gather(0, image_of[None]).squeeze(0)  # (T)
        to_image = F.cross_entropy(logits.T, image_of)
        # One positive at a time, its siblings left out: log(exp(p) / (exp(p) + sum of others)).
        others = logits.masked_fill(own, float("-inf")).logsumexp(1)  # (B)
        to_text = (torch.logaddexp(positive, others[image_of]) - positive).mean()
        if self.config.smoothing:
            negatives = logits.masked_fill(own, 0.0)  # (B, T)
            images = negatives.sum(0) / (len(logits) - 1)  # (T) mean over the other photos
            texts = (negatives.sum(1) / (~own).sum(1))[image_of]  # (T) over others' captions
            to_image = to_image + self.config.smoothing * (positive - images).mean()
            to_text = to_text + self.config.smoothing * (positive - texts).mean()
        return (to_image + to_text) / 2

    def after_step(self) -> None:
        """Keep the temperatures above their bound. In the forward pass a bound would stop the
        gradient: a temperature that reached it could never leave it again."""
        with torch.no_grad():
            for scale in self.log_scale.values():
                scale.clamp_(max=-math.log(MIN_TEMPERATURE))

    def chance_level(self, images: int, texts: float) -> float:
        """The logarithm of the number of candidates, over both directions."""
        return (math.log(images) + math.log(texts - texts / images + 1)) / 2
