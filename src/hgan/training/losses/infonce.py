"""Symmetric InfoNCE with a learned temperature for each level (equation 17 of docs/model.md).

Radford et al., *Learning Transferable Visual Models From Natural Language Supervision* (CLIP), ICML
2021; extended to several captions per photo, as in HREM and LAPS.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.config import Bounds
from hgan.training.losses.loss import LOSSES, Loss, LossConfig, own_captions

MIN_TEMPERATURE = 0.01
"""Lower bound of the temperatures for stability, as in CLIP."""


@dataclass
class InfoNCEConfig(LossConfig):
    """Settings of InfoNCE."""

    bounds: ClassVar[Bounds] = {
        "temperature": (MIN_TEMPERATURE, inf),
        "smoothing": (0, 1),
        "soft_temperature": (0, inf),
    }

    name: Literal["infonce"] = "infonce"
    """Name of the loss; the other keys depend on it."""
    temperature: float = 0.05
    """Initial value of the learned temperatures."""
    smoothing: float = 0.0
    """Label smoothing: part of the target distribution that is spread evenly over negatives."""
    soft_temperature: float = 0.0
    """Temperature of soft targets, by which captions that say nearly the same are not completely
    negatives of each other; 0 for hard targets."""


@LOSSES.register
class InfoNCE(Loss):
    """InfoNCE in both directions: for a photo, each of its captions is contrasted with the captions
    of other photos; for a caption, its photo is contrasted with the other photos."""

    Config = InfoNCEConfig
    config: InfoNCEConfig

    def __init__(self, config: InfoNCEConfig, names: Sequence[str]) -> None:
        super().__init__(config, names)
        start = torch.tensor(1.0 / config.temperature).log()
        self.log_scale = nn.ParameterDict({n: nn.Parameter(start.clone()) for n in names})

    def start_from(self, temperatures: Mapping[str, float]) -> None:
        """Start with these temperatures of scores, by their names."""
        with torch.no_grad():
            for name in self.log_scale.keys() & temperatures.keys():
                self.log_scale[name].fill_(-math.log(temperatures[name]))
        self.after_step()

    def forward(
        self, name: str, scores: Tensor, image_of: Tensor, alike: Tensor | None = None
    ) -> Tensor:
        """The loss, a scalar, of scores (B, T) and the photo of each caption (T); soft targets are
        made of the cosines of the captions (T, T)."""
        logits = scores.float() * self.log_scale[name].exp()  # (B, T)
        own = own_captions(image_of, len(logits))  # (B, T)
        positive = logits.gather(0, image_of[None]).squeeze(0)  # (T)
        to_image = F.cross_entropy(logits.T, image_of)
        # One positive p at a time; the photo's other captions are not negatives:
        # log(exp(p) / (exp(p) + sum over captions of other photos)).
        others = logits.masked_fill(own, float("-inf")).logsumexp(1)  # (B)
        to_text = (torch.logaddexp(positive, others[image_of]) - positive).mean()
        if self.config.smoothing:
            negatives = logits.masked_fill(own, 0.0)  # (B, T)
            images = negatives.sum(0) / (len(logits) - 1)  # (T) mean over other photos
            texts = (negatives.sum(1) / (~own).sum(1))[image_of]  # (T) mean over other captions
            to_image = to_image + self.config.smoothing * (positive - images).mean()
            to_text = to_text + self.config.smoothing * (positive - texts).mean()
        if self.config.soft_temperature and alike is not None:
            # Each target distribution takes from the positive what it gives to negatives.
            images, texts = self._soft_targets(alike, own, image_of)
            to_image = to_image + (images * (positive - logits)).sum(0).mean()
            others_of = logits[image_of]  # (T, T) of each caption's photo, all captions
            to_text = to_text + (texts * (positive[:, None] - others_of)).sum(1).mean()
        return (to_image + to_text) / 2

    def _soft_targets(self, alike: Tensor, own: Tensor, image_of: Tensor) -> tuple[Tensor, Tensor]:
        """Targets of each caption for the other photos (B, T), zero for its own, and for the
        captions (T, T) of other photos, zero for those of its own.

        They are a softmax of cosines, in which the positive has the cosine 1, that of a caption
        with itself; a photo counts as much as the most similar of its captions.
        """
        tau = self.config.soft_temperature
        same = image_of[:, None] == image_of  # (T, T)
        photos = alike.new_full((len(own), len(alike)), -1.0)  # (B, T)
        photos.scatter_reduce_(0, image_of[:, None].expand_as(alike), alike, "amax")
        images = (photos.masked_fill(own, 1.0) / tau).softmax(0).masked_fill(own, 0.0)
        texts = (alike / tau).masked_fill(same, float("-inf"))  # (T, T)
        positive = alike.new_full((len(alike), 1), 1.0 / tau)
        return images, torch.cat([positive, texts], dim=1).softmax(1)[:, 1:]

    def after_step(self) -> None:
        """Clip the temperatures to their lower bound. This is not done in the forward pass, where a
        clipped temperature would get no gradient and could not change any more."""
        with torch.no_grad():
            for scale in self.log_scale.values():
                scale.clamp_(max=-math.log(MIN_TEMPERATURE))

    def chance_level(self, images: int, texts: float) -> float:
        """The logarithm of the number of candidates, averaged over both directions."""
        return (math.log(images) + math.log(texts - texts / images + 1)) / 2
