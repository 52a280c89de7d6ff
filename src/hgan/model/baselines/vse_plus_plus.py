"""VSE++: a photo and a sentence are one vector each, the mean of their regions or words.

Faghri et al., *VSE++: Improving Visual-Semantic Embeddings with Hard Negatives*, BMVC 2018:

    x = mean_i(W r_i),  s(photo, sentence) = cos(x_photo, x_sentence)           (1) and (2)

The hinge on the hardest negative, the paper's other half, is `hgan.training.losses.hinge`.
"""

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

from torch import Tensor, nn

from hgan.config import Bounds
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.encoding import make_encoded
from hgan.model.layers import projection, unit
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.model.pooling import MeanPooling
from hgan.text.encoder import TextEncoder


@dataclass
class VSEConfig(MatcherConfig):
    """VSE++."""

    bounds: ClassVar[Bounds] = {"width": (1, inf), "dropout": (0, 1)}

    name: Literal["vse++"] = "vse++"
    """Which matcher; the other keys are its own settings."""
    width: int = 512
    """D, width of the one vector of a photo or sentence."""
    dropout: float = 0.2
    """On backbone features before the projection."""


@MATCHERS.register
class VSEPlusPlus(Matcher):
    """Mean pooling and the cosine, on one level: context."""

    Config: ClassVar[type[MatcherConfig]] = VSEConfig
    title = "VSE++"
    source = "Visual-semantic embedding (Faghri et al., BMVC 2018; arXiv 1707.05612)."
    level_names = ("context",)
    pooling: ClassVar[type[nn.Module]] = MeanPooling

    def __init__(self, config: VSEConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text)
        self.project_regions = projection(image_width, config.width, config.dropout)
        self.project_words = projection(text.width, config.width, config.dropout)
        self.pool_regions, self.pool_words = self.pooling(), self.pooling()

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Regions, pooled."""
        regions = self.project_regions(batch.regions)  # (B, R, D)
        return make_encoded(context=unit(self.pool_regions(regions, batch.mask)))  # (B, D)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Words, pooled."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        words = self.project_words(token.states)  # (T, W, D)
        return make_encoded(context=unit(self.pool_words(words, token.words)))  # (T, D)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The cosine of photo and sentence, (B, T)."""
        return {"context": images.context @ texts.context.T}

    def describe_parts(self) -> dict[str, str]:
        """How regions and words become one vector."""
        return {"pooling": "mean"}
