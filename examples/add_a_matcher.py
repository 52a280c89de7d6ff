"""A matcher and a loss of your own in one file, without a change to hgan.

The matcher compares a photo and a sentence by the mean of their regions and words, once by cosine
and once by how close they are: the second is a level with a name of its own, `closeness`. The loss
asks of every pair alone whether it belongs together, as SigLIP does (Zhai et al., ICCV 2023).

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
    """The settings, with their defaults; the text below each is its help."""

    name: Literal["means"] = "means"
    """The name in `model.name`."""
    width: int = 128
    """D, width of the vector of a photo or sentence."""
    dropout: float = 0.1
    """On backbone features before the projection."""


@MATCHERS.register
class Means(Matcher):
    """The mean of regions and of words, compared in two ways."""

    Config = MeansConfig
    title = "Means"  # for the model card
    source = "An example of hgan."
    level_names = ("context", "closeness")  # each is trained, evaluated and reported by its name

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
        return {"context": cosine, "closeness": (4 * (cosine - 1)).exp()}  # 1 where they are equal


# --- the loss


@dataclass
class PairwiseConfig(LossConfig):
    """The settings of the loss."""

    name: Literal["pairwise"] = "pairwise"
    """The name in `loss.name`."""
    scale: float = 10.0
    """Where the learned scale of the scores starts."""


@LOSSES.register
class Pairwise(Loss):
    """Does this photo belong to this caption? Yes or no, for each pair alone."""

    Config = PairwiseConfig
    config: PairwiseConfig

    def __init__(self, config: PairwiseConfig, names: Sequence[str]) -> None:
        super().__init__(config, names)
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        own = own_captions(image_of, len(scores)).float()  # (B, T)
        logits = scores * self.log_scale.exp() + self.bias  # (B, T)
        # Both kinds of pairs count the same, though there are far more negatives.
        weight = own / own.sum() + (1 - own) / (1 - own).sum()  # (B, T)
        return F.binary_cross_entropy_with_logits(logits, own, weight, reduction="sum") / 2

    def chance_level(self, images: int, texts: float) -> float:
        return math.log(2)  # the best that equal scores can reach
