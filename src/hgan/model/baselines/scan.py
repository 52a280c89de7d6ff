"""SCAN: words attend to regions, or regions to words, and a pair is as alike as what they find.

Lee et al., *Stacked Cross Attention for Image-Text Matching*, ECCV 2018. With text-to-image
attention the words are the queries and a photo's regions the keys; image-to-text is the other way
round. Equation numbers are those of the image-to-text half; its mirror image follows there.
"""

import torch
from torch import Tensor

from hgan.config import ModelConfig
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.baselines.blocks import score_blocks
from hgan.model.baselines.projection import projection
from hgan.model.matcher import Matcher
from hgan.model.tower import LOW, unit
from hgan.text.encoder import TextEncoder

SHARPNESS = {"t2i": 9.0, "i2t": 4.0}
"""Inverse temperature of the attention, the paper's lambda 1."""
LSE_SHARPNESS = {"t2i": 6.0, "i2t": 5.0}
"""Inverse temperature of the LogSumExp over queries, the paper's lambda 2 (on Flickr30K)."""
PHOTOS, CAPTIONS = 32, 32
"""Scored at once."""


class SCAN(Matcher):
    """Stacked cross attention, one stage each way, on one level: local."""

    def __init__(self, config: ModelConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text, ["local"])
        self.project_regions = projection(image_width, config.width, config.dropout)
        self.project_words = projection(text.width, config.width, config.dropout)

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Regions, each a unit vector."""
        return _rows(self.project_regions(batch.regions), batch.mask)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Words, each a unit vector."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        return _rows(self.project_words(token.states), token.words)

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """How alike the queries are to what they attend to, (B, T)."""
        return {"local": score_blocks(images, texts, self._score, PHOTOS, CAPTIONS)}

    def _score(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        if self.config.attention == "t2i":
            return self._aggregate(relevance(texts, images, SHARPNESS["t2i"]), texts.mask)
        return self._aggregate(relevance(images, texts, SHARPNESS["i2t"]), images.mask).T

    def _aggregate(self, relevances: Tensor, mask: Tensor) -> Tensor:
        """Relevances (K, Q, n) of queries with mask (Q, n) to (K, Q); zero where there are none."""
        if self.config.aggregation == "mean":  # equation 6
            return (relevances * mask).sum(-1) / mask.sum(-1).clamp_min(1)
        sharpness = LSE_SHARPNESS[self.config.attention]
        scores = (sharpness * relevances).masked_fill(~mask, LOW)
        return torch.where(mask.any(-1), scores.logsumexp(-1) / sharpness, 0.0)  # equation 5


def cosines(queries: Tensor, keys: Tensor) -> Tensor:
    """Unit rows (Q, n, D) and (K, m, D), zero in padding, to (K, Q, n, m); equation 1."""
    return torch.einsum("qnd,kmd->kqnm", queries, keys).float().contiguous()


def attention(cosine: Tensor, keys: Tensor, sharpness: float) -> Tensor:
    """How much each query attends to each key; equations 1 and 3.

    Args:
        cosine: (K, Q, n, m), zero towards padding.
        keys: (K, m), True where a key is real.

    Returns:
        (K, Q, n, m), the sum over keys one.
    """
    share = cosine.clamp_min(0)
    # A key's, over the queries. F.normalize says the same, in three times the time.
    share = share * share.square().sum(2, keepdim=True).clamp_min(1e-12).rsqrt()
    return (sharpness * share).masked_fill(~keys[:, None, None], LOW).softmax(-1)


def relevance(queries: Encoded[Tensor], keys: Encoded[Tensor], sharpness: float) -> Tensor:
    """Cosine of each query and the mean of keys that it attends to, (K, Q, n); equation 4.

    The mean a = sum_i w_i k_i itself is never made: its dot product with a query is the mean of the
    cosines, and its length follows from the keys' cosines with each other, |a|^2 = w^T K w.
    """
    cosine = cosines(queries.local, keys.local)
    weights = attention(cosine, keys.mask, sharpness)
    dot = (weights * cosine).sum(-1)
    # In float32 always: the quotient of two small numbers.
    with torch.autocast(cosine.device.type, enabled=False):
        gram = keys.local @ keys.local.transpose(1, 2)  # (K, m, m)
        flat = weights.flatten(1, 2)  # (K, Q n, m)
        squared = ((flat @ gram) * flat).sum(-1).view_as(dot)
    return dot / squared.clamp_min(1e-12).sqrt()


def _rows(x: Tensor, mask: Tensor) -> Encoded[Tensor]:
    """Rows (B, n, D) as items that have nothing but local vectors."""
    local = unit(x) * mask[..., None]
    count = local.shape[0]
    return Encoded(local.new_zeros(count, 0), local.new_zeros(count, 0, 0), local, mask)
