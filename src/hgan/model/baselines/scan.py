"""SCAN: cross-attention from words to regions, or from regions to words.

Lee et al., *Stacked Cross Attention for Image-Text Matching*, ECCV 2018. With the equation numbers
of the paper, for queries q_i and keys k_j (in its image-to-text variant, regions and words):

    s_ij = cos(q_i, k_j)                                                                       (1)
    s'_ij = [s_ij] / sqrt(sum_i [s_ij]^2),  [s] = max(s, 0)                  in the text after (1)
    a_i = sum_j w_ij k_j,  w_ij = softmax_j(lambda_1 s'_ij)                            (2) and (3)
    R_i = cos(q_i, a_i)                                                                        (4)
    S = log(sum_i exp(lambda_2 R_i)) / lambda_2,  or  S = mean_i R_i                   (5) and (6)

In the text-to-image variant, words are the queries and regions the keys, in the same equations.
The authors' code has [s] = max(s, 0.1 s), a leaky ReLU (`leak`), in place of the paper's max(s, 0).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.config import Bounds
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.baselines.blocks import score_blocks
from hgan.model.baselines.inputs import BaselineConfig, region_rows, word_rows
from hgan.model.encoding import make_encoded
from hgan.model.layers import LOW, projection, unit
from hgan.model.matcher import MATCHERS, Matcher
from hgan.text.encoder import TextEncoder

INVERSE_TEMPERATURE = {"t2i": 9.0, "i2t": 4.0}
"""Inverse temperature of the attention, lambda_1 in the paper."""
LSE_INVERSE_TEMPERATURE = {"t2i": 6.0, "i2t": 5.0}
"""Inverse temperature of the LogSumExp over queries, lambda_2 in the paper (for Flickr30K)."""
PHOTOS, CAPTIONS = 32, 32
"""Size of a block that is scored at once."""


@dataclass
class SCANConfig(BaselineConfig):
    """Settings of SCAN."""

    bounds: ClassVar[Bounds] = {**BaselineConfig.bounds, "leak": (0, 1)}

    name: Literal["scan"] = "scan"
    """Name of the matcher; the other keys depend on it."""
    leak: float = 0.0
    """Part of a negative cosine that counts in the attention: 0 in the paper, 0.1 in the authors'
    code."""
    attention: Literal["t2i", "i2t"] = "t2i"
    """Direction of the attention: words attend to regions (t2i), or regions to words (i2t)."""
    aggregation: Literal["mean", "lse"] = "mean"
    """Aggregation of the similarities over words or regions: mean, or LogSumExp (lse)."""


@MATCHERS.register
class SCAN(Matcher):
    """Stacked cross attention in one direction; its only level is `local`."""

    Config = SCANConfig
    title = "SCAN"
    source = "Stacked cross attention (Lee et al., ECCV 2018; arXiv 1803.08024)."
    level_names = ("local",)
    config: SCANConfig

    def __init__(self, config: SCANConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text)
        width, dropout, norm = config.width, config.dropout, config.norm
        self.project_regions = projection(image_width, width, dropout, norm)
        self.project_words = projection(text.width, width, dropout, norm)

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Encode each region as a unit vector."""
        rows, mask = region_rows(batch, self.config.context)
        regions = unit(self.project_regions(rows)) * mask[..., None]  # (B, R, D)
        return make_encoded(local=regions, mask=mask)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Encode each word as a unit vector."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        rows, mask = word_rows(token, self.config.context)
        words = unit(self.project_words(rows)) * mask[..., None]  # (T, W, D)
        return make_encoded(local=words, mask=mask)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Aggregated similarity of the queries and the keys that they attend to, (B, T)."""
        return {"local": score_blocks(images, texts, self._score, PHOTOS, CAPTIONS)}

    def describe_parts(self) -> dict[str, str]:
        """Direction of the attention, and the aggregation."""
        ways = {"t2i": "words attend to regions", "i2t": "regions attend to words"}
        return {
            "attention": ways[self.config.attention],
            "aggregation": self.config.aggregation,
        }

    def _score(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        """Scores (b, t) of a block."""
        scale, leak = INVERSE_TEMPERATURE[self.config.attention], self.config.leak
        if self.config.attention == "t2i":
            return self._aggregate(relevance(texts, images, scale, leak), texts.mask)
        return self._aggregate(relevance(images, texts, scale, leak), images.mask).T

    def _aggregate(self, relevances: Tensor, mask: Tensor) -> Tensor:
        """Aggregate relevances (K, Q, n) with mask (Q, n) to (K, Q); zero if all are padding."""
        if self.config.aggregation == "mean":
            return (relevances * mask).sum(-1) / mask.sum(-1).clamp_min(1)  # (6)
        inverse_temperature = LSE_INVERSE_TEMPERATURE[self.config.attention]
        scores = (inverse_temperature * relevances).masked_fill(~mask, LOW)  # (K, Q, n)
        return torch.where(mask.any(-1), scores.logsumexp(-1) / inverse_temperature, 0.0)  # (5)


def cosines(queries: Tensor, keys: Tensor) -> Tensor:
    """Cosines (K, Q, n, m) of unit rows (Q, n, D) and (K, m, D), zero for padding; equation 1."""
    return torch.einsum("qnd,kmd->kqnm", queries, keys).contiguous()


def attention(
    cosine: Tensor, keys: Tensor, inverse_temperature: float, leak: float = 0.0
) -> Tensor:
    """Attention weights of each query over the keys; equation 3.

    Args:
        cosine: (K, Q, n, m), zero for padding.
        keys: (K, m) mask, False for padding.
        inverse_temperature: lambda_1.
        leak: part of a negative cosine that counts.

    Returns:
        (K, Q, n, m), with sum one over the keys.
    """
    share = F.leaky_relu(cosine, leak) if leak else cosine.clamp_min(0)
    # Normalise each key over the queries; F.normalize would take three times as long.
    share = share * share.square().sum(2, keepdim=True).clamp_min(1e-12).rsqrt()
    return (inverse_temperature * share).masked_fill(~keys[:, None, None], LOW).softmax(-1)


def relevance(
    queries: Encoded[Tensor], keys: Encoded[Tensor], inverse_temperature: float, leak: float = 0.0
) -> Tensor:
    """Cosine of each query and its attended mean of the keys, (K, Q, n); equation 4.

    The mean a = sum_j w_j k_j of equation 2 is not computed: its dot product with a query is the
    weighted mean of the cosines, and its length follows from the Gram matrix K of the keys,
    |a|^2 = w^T K w.
    """
    cosine = cosines(queries.local, keys.local)  # (K, Q, n, m)
    weights = attention(cosine, keys.mask, inverse_temperature, leak)  # (K, Q, n, m)
    dot = (weights * cosine).sum(-1)  # (K, Q, n)
    gram = keys.local @ keys.local.transpose(1, 2)  # (K, m, m)
    flat = weights.flatten(1, 2)  # (K, Q n, m)
    squared = ((flat @ gram) * flat).sum(-1).view_as(dot)  # (K, Q, n)
    return dot / squared.clamp_min(1e-12).sqrt()
