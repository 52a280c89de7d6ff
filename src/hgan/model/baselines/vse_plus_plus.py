"""VSE++: a photo or sentence is one vector, the mean of its regions or words.

Faghri et al., *VSE++: Improving Visual-Semantic Embeddings with Hard Negatives*, BMVC 2018:

    x = mean_i(W r_i),  s(photo, sentence) = cos(x_photo, x_sentence)           (1) and (2)

The loss of the paper, a hinge loss on the hardest negative, is `hgan.training.losses.hinge`.
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
    """Settings of VSE++."""

    bounds: ClassVar[Bounds] = {"width": (1, inf), "dropout": (0, 1)}

    name: Literal["vse++"] = "vse++"
    """Name of the matcher; the other keys depend on it."""
    width: int = 512
    """Width D of the vector of a photo or sentence."""
    dropout: float = 0.2
    """Dropout rate of the backbone features before the projection."""


@MATCHERS.register
class VSEPlusPlus(Matcher):
    """Mean pooling and cosine similarity; its only level is `context`."""

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
        """Encode photos by pooling their regions."""
        regions = self.project_regions(batch.regions)  # (B, R, D)
        return make_encoded(context=unit(self.pool_regions(regions, batch.mask)))  # (B, D)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Encode captions by pooling their words."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        words = self.project_words(token.states)  # (T, W, D)
        return make_encoded(context=unit(self.pool_words(words, token.words)))  # (T, D)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Cosine of photos and sentences, (B, T)."""
        return {"context": images.context @ texts.context.T}

    def describe_parts(self) -> dict[str, str]:
        """How regions and words are pooled."""
        return {"pooling": "mean"}
