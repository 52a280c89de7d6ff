"""Define your own matcher and loss in one file, without changing hgan.

The matcher compares the mean of the regions of a photo with the mean of the words of a sentence. It
has two levels: the cosine (`context`), and an exponential function of it (`closeness`). The loss
classifies each pair as matching or not, as in SigLIP (Zhai et al., ICCV 2023).

    hgan train    --config configs/flickr8k.yaml --plugin examples/add_a_matcher.py \\
                  --model.name means --loss.name pairwise --run runs/means
    hgan evaluate runs/means/seed1/best --plugin examples/add_a_matcher.py

`hgan train --plugin examples/add_a_matcher.py --model.name means --help` lists its settings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.encoding import make_encoded
from hgan.model.layers import projection, unit
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.model.pooling import MeanPooling
from hgan.text.encoder import TextEncoder
from hgan.training.losses.loss import LOSSES, Loss, LossConfig, own_captions

# --- the matcher


@dataclass
class MeansConfig(MatcherConfig):
    """The settings with their defaults; the text below each one is shown by `--help`."""

    name: Literal["means"] = "means"
    """Name of the matcher, for `model.name`."""
    width: int = 128
    """Width D of the vector of a photo or sentence."""
    dropout: float = 0.1
    """Dropout rate of the backbone features before the projection."""


@MATCHERS.register
class Means(Matcher):
    """Compares the means of regions and words at two levels."""

    Config = MeansConfig
    title = "Means"  # for the model card
    source = "An example of hgan."
    level_names = ("context", "closeness")  # each level is trained, evaluated and reported

    def __init__(self, config: MeansConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text)
        self.project_regions = projection(image_width, config.width, config.dropout)
        self.project_words = projection(text.width, config.width, config.dropout)
        self.pool = MeanPooling()

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        regions = self.project_regions(batch.regions)  # (B, R, D)
        return make_encoded(context=unit(self.pool(regions, batch.mask)))  # (B, D)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        words = self.project_words(token.states)  # (T, W, D)
        return make_encoded(context=unit(self.pool(words, token.words)))  # (T, D)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        cosine = images.context @ texts.context.T  # (B, T)
        return {"context": cosine, "closeness": (4 * (cosine - 1)).exp()}  # 1 for equal vectors


# --- the loss


@dataclass
class PairwiseConfig(LossConfig):
    """The settings of the loss."""

    name: Literal["pairwise"] = "pairwise"
    """Name of the loss, for `loss.name`."""
    scale: float = 10.0
    """Initial value of the learned scale of the scores."""


@LOSSES.register
class Pairwise(Loss):
    """Binary classification of each pair: does the photo match the caption?"""

    Config = PairwiseConfig
    config: PairwiseConfig

    def __init__(self, config: PairwiseConfig, names: Sequence[str]) -> None:
        super().__init__(config, names)
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        own = own_captions(image_of, len(scores)).float()  # (B, T)
        logits = scores * self.log_scale.exp() + self.bias  # (B, T)
        # Positives and negatives have the same total weight, although there are more negatives.
        weight = own / own.sum() + (1 - own) / (1 - own).sum()  # (B, T)
        return F.binary_cross_entropy_with_logits(logits, own, weight, reduction="sum") / 2

    def chance_level(self, images: int, texts: float) -> float:
        return math.log(2)  # the lowest loss with equal scores
