"""Visual-semantic embedding: a photo and a sentence are one vector each, compared by their cosine.

Faghri et al., *VSE++: Improving Visual-Semantic Embeddings with Hard Negatives*, BMVC 2018, pools
by the mean; Chen et al., *Learning the Best Pooling Strategy for Visual Semantic Embedding*
(VSE-infinity), CVPR 2021, learns how to pool. All else is the same.
"""

from torch import Tensor, nn

from hgan.config import ModelConfig
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.baselines.projection import projection
from hgan.model.matcher import Matcher
from hgan.model.pooling import GeneralisedPooling
from hgan.model.similarity import context_similarity
from hgan.model.tower import unit
from hgan.text.encoder import TextEncoder


class MeanPooling(nn.Module):
    """The mean of the real rows."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool x (B, n, d) over its real rows, mask (B, n); a row without any gives zeros."""
        real = mask[..., None].to(x.dtype)
        return (x * real).sum(1) / real.sum(1).clamp_min(1)


class VSE(Matcher):
    """VSE++, or VSE-infinity by its name in the configuration: the context level alone."""

    def __init__(self, config: ModelConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text, ["context"])
        pooling = MeanPooling if config.name == "vse++" else GeneralisedPooling
        self.project_regions = projection(image_width, config.width, config.dropout)
        self.project_words = projection(text.width, config.width, config.dropout)
        self.pool_regions, self.pool_words = pooling(), pooling()

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Regions, pooled."""
        return _whole(self.pool_regions(self.project_regions(batch.regions), batch.mask))

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Words, pooled."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        return _whole(self.pool_words(self.project_words(token.states), token.words))

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The cosine of photo and sentence, (B, T)."""
        return {"context": context_similarity(images, texts)}


def _whole(pooled: Tensor) -> Encoded[Tensor]:
    """Pooled vectors (B, D) as items that have nothing but a context."""
    context = unit(pooled)
    none, nowhere = context.new_zeros(len(context), 0, 0), context.new_zeros(len(context), 0)
    return Encoded(context, none, none, nowhere.bool())
