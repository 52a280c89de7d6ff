"""Mean pooling: a photo or sentence is one vector, the mean of its regions or words.

    x = mean_i(W r_i),  s(photo, sentence) = cos(x_photo, x_sentence)

It is the network of VSE++ and VSE-infinity without what these papers are about.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from hgan.encoded import Encoded
from hgan.model.baselines.baseline import Baseline, BaselineConfig
from hgan.model.encoding import make_encoded
from hgan.model.layers import unit
from hgan.model.matcher import MATCHERS, MatcherConfig
from hgan.model.pooling import GeneralisedPooling, MeanPooling
from hgan.model.prior import Prior
from hgan.text.encoder import TextEncoder


@dataclass
class MeanConfig(BaselineConfig):
    """Settings of mean pooling."""

    name: Literal["mean"] = "mean"
    """Name of the matcher; the other keys depend on it."""


@MATCHERS.register
class Mean(Baseline):
    """Mean pooling and cosine similarity; its own level is `context`."""

    Config: ClassVar[type[MatcherConfig]] = MeanConfig
    title = "Mean pooling"
    source = "The mean of projected regions or words, compared by their cosine."
    own_levels = ("context",)
    pooling: ClassVar[type[nn.Module]] = MeanPooling

    def __init__(
        self,
        config: BaselineConfig,
        image_width: int,
        text: TextEncoder,
        prior: Prior | None = None,
    ) -> None:
        super().__init__(config, image_width, text, prior)
        self.pool_regions, self.pool_words = self.pooling(), self.pooling()

    def encode_regions(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode photos by pooling their regions (B, n, D_v) with mask (B, n)."""
        return make_encoded(context=unit(self.pool_regions(self.regions(rows, mask), mask)))

    def encode_words(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode captions by pooling their words (T, n, D_t) with mask (T, n)."""
        return make_encoded(context=unit(self.pool_words(self.project_words(rows), mask)))

    def regions(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Project features of regions (B, n, D_v) with mask (B, n) to (B, n, D)."""
        return self.project_regions(rows)

    def compare_own(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Cosine of photos and sentences, (B, T)."""
        return {"context": images.context @ texts.context.T}

    @property
    def widths(self) -> dict[str, int]:
        """Widths of the levels, as in a bundle."""
        return {"context": self.config.width, "slots": 0, "slot": 0, "local": 0}

    def freeze_pooling(self, regions: int, words: int) -> None:
        """Prepare for export: store the pooling weights for up to so many regions and words."""
        more = int(self.config.context)  # the whole is one more row
        for pool, rows in ((self.pool_regions, regions + more), (self.pool_words, words + more)):
            if isinstance(pool, GeneralisedPooling):
                pool.freeze(rows)

    def describe_parts(self) -> dict[str, str]:
        """How regions and words are pooled."""
        return {"pooling": "mean"}
