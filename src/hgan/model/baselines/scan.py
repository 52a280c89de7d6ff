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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hgan.config import Bounds
from hgan.encoded import Encoded
from hgan.model.baselines.attention import attention, cosines, inverse_length
from hgan.model.baselines.baseline import Baseline, BaselineConfig
from hgan.model.baselines.blocks import Captions, Size
from hgan.model.baselines.pairs import score_pairs
from hgan.model.encoding import make_encoded
from hgan.model.layers import LOW, unit
from hgan.model.matcher import MATCHERS

INVERSE_TEMPERATURE = {"t2i": 9.0, "i2t": 4.0}
"""Inverse temperature of the attention, lambda_1 in the paper."""
LSE_INVERSE_TEMPERATURE = {"t2i": 6.0, "i2t": 5.0}
"""Inverse temperature of the LogSumExp over queries, lambda_2 in the paper (for Flickr30K)."""
SIZE = Size(photos=32, words=1024, group=256)
"""Size of the blocks that are scored at once."""


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
class SCAN(Baseline):
    """Stacked cross attention in one direction; its own level is `local`."""

    Config = SCANConfig
    title = "SCAN"
    source = "Stacked cross attention (Lee et al., ECCV 2018; arXiv 1803.08024)."
    own_levels = ("local",)
    config: SCANConfig

    def encode_regions(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode each region as a unit vector."""
        regions = unit(self.project_regions(rows)) * mask[..., None]  # (B, R, D)
        return make_encoded(local=regions, mask=mask)

    def encode_words(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode each word as a unit vector."""
        words = unit(self.project_words(rows)) * mask[..., None]  # (T, W, D)
        return make_encoded(local=words, mask=mask)

    def compare_own(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Aggregated similarity of the queries and the keys that they attend to, (B, T)."""
        regions = images.local
        if self.config.attention == "t2i":
            gram = regions @ regions.transpose(1, 2)  # (B, R, R)
            return {"local": score_pairs((regions, gram), texts, self._words, SIZE)}
        return {"local": score_pairs((regions, images.mask), texts, self._regions, SIZE)}

    def describe_parts(self) -> dict[str, str]:
        """Direction of the attention, and the aggregation."""
        ways = {"t2i": "words attend to regions", "i2t": "regions attend to words"}
        return {
            "attention": ways[self.config.attention],
            "aggregation": self.config.aggregation,
        }

    def _words(self, photos: Sequence[Tensor], captions: Captions) -> Tensor:
        """Scores (b, t) of a block; words attend to regions (b, R, D), whose Gram matrices are
        (b, R, R)."""
        regions, gram = photos
        scores = []
        for cosine in captions.split(cosines(regions, captions.words), -1):  # (b, R, t, w)
            weights = attention(cosine, -1, INVERSE_TEMPERATURE["t2i"], self.config.leak)
            mixed = (gram @ weights.flatten(2)).view_as(weights)
            found = relevance(cosine, weights, mixed, 1)  # (b, t, w)
            scores.append(self._aggregate(found, torch.ones_like(found, dtype=torch.bool), -1))
        return torch.cat(scores, dim=1)

    def _regions(self, photos: Sequence[Tensor], captions: Captions) -> Tensor:
        """Scores (b, t) of a block; regions (b, R, D) with mask (b, R) attend to words."""
        regions, mask = photos
        scores = []
        for cosine, words in zip(
            captions.split(cosines(regions, captions.words), -1),  # (b, R, t, w)
            captions.split(captions.words, 1),  # (g, t, w, D)
            strict=True,
        ):
            weights = attention(cosine, 1, INVERSE_TEMPERATURE["i2t"], self.config.leak)
            gram = words @ words.transpose(2, 3)  # (g, t, w, w)
            mixed = torch.einsum("brtw,btwv->brtv", weights, gram)
            found = relevance(cosine, weights, mixed, -1)  # (b, R, t)
            scores.append(self._aggregate(found, mask[..., None], 1))
        return torch.cat(scores, dim=1)

    def _aggregate(self, relevances: Tensor, mask: Tensor, queries: int) -> Tensor:
        """Aggregate relevances over the dimension of the queries, of which the mask has the real
        ones; zero if there is none."""
        if self.config.aggregation == "mean":
            return (relevances * mask).sum(queries) / mask.sum(queries).clamp_min(1)  # (6)
        inverse_temperature = LSE_INVERSE_TEMPERATURE[self.config.attention]
        scores = (inverse_temperature * relevances).masked_fill(~mask, LOW)
        summed = scores.logsumexp(queries) / inverse_temperature  # (5)
        return torch.where(mask.any(queries), summed, 0.0)


def relevance(cosine: Tensor, weights: Tensor, mixed: Tensor, keys: int) -> Tensor:
    """Cosine of each query and its attended mean of the keys; equation 4.

    The mean a = sum_j w_j k_j of equation 2 is not computed: its dot product with a query is the
    weighted mean of the cosines, and its length follows from the Gram matrix K of the keys,
    |a|^2 = w^T K w.

    Args:
        cosine: (b, R, t, w) of regions and words.
        weights: w, as large.
        mixed: K w, as large.
        keys: dimension of the keys.
    """
    squared = (mixed * weights).sum(keys)
    return (weights * cosine).sum(keys) * inverse_length(squared, weights.sum(keys))
