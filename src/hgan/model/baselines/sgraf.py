"""SGRAF: a pair has a similarity vector for each word, and a network reasons over those.

Diao et al., *Similarity Reasoning and Filtration for Image-Text Matching*, AAAI 2021:

    s(x, y) = W |x - y|^2 / ||W |x - y|^2||       similarity vector, the square by feature; (1)
    SGR:  s <- ReLU(W_r softmax((W_in s) (W_out s)^T) s), three times
    SAF:  sum_i g_i s_i / sum_i g_i,  g_i = sigmoid(w^T s_i)

The paper trains SGR and SAF separately, and so does this project. Its score is a sigmoid, kept: it
lies between 0 and 1, as the margin of the hinge and the temperature of InfoNCE expect.
"""

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from hgan.config import Bounds
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.baselines.blocks import score_blocks
from hgan.model.baselines.scan import INVERSE_TEMPERATURE, attention, cosines
from hgan.model.encoding import make_encoded
from hgan.model.layers import LOW, projection, unit
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.text.encoder import TextEncoder

STEPS = 3
"""Of similarity graph reasoning."""
PHOTOS, CAPTIONS = 16, 16
"""Scored at once."""


@dataclass
class SGRAFConfig(MatcherConfig):
    """SGRAF: SGR or SAF."""

    bounds: ClassVar[Bounds] = {
        **dict.fromkeys(("width", "similarity_width"), (1, inf)),
        "dropout": (0, 1),
    }

    name: Literal["sgraf"] = "sgraf"
    """Which matcher; the other keys are its own settings."""
    width: int = 512
    """D, width of a region or word."""
    dropout: float = 0.2
    """On backbone features before the projection."""
    reasoning: Literal["sgr", "saf"] = "sgr"
    """Similarity graph reasoning, or similarity attention filtration."""
    similarity_width: int = 256
    """Width of a similarity vector."""


@MATCHERS.register
class SGRAF(Matcher):
    """SGR or SAF, as the configuration says, on one level: reasoning."""

    Config = SGRAFConfig
    title = "SGRAF"
    source = "Similarity reasoning and filtration (Diao et al., AAAI 2021; arXiv 2101.01368)."
    level_names = ("reasoning",)
    config: SGRAFConfig

    def __init__(self, config: SGRAFConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text)
        width, similarity_width = config.width, config.similarity_width
        self.project_regions = projection(image_width, width, config.dropout)
        self.project_words = projection(text.width, width, config.dropout)
        self.gather_regions, self.gather_words = Gather(width), Gather(width)
        self.compare_whole = SimilarityVector(width, similarity_width)
        self.compare_local = SimilarityVector(width, similarity_width)
        reasoning = GraphReasoning if config.reasoning == "sgr" else Filtration
        self.reasoning = reasoning(similarity_width)
        self.score = nn.Linear(similarity_width, 1)

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Regions and the whole of them, each a unit vector."""
        return self._encode(self.project_regions(batch.regions), batch.mask, self.gather_regions)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Words and the whole of them, each a unit vector."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        return self._encode(self.project_words(token.states), token.words, self.gather_words)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The score of a network that reads both, in 0..1, (B, T)."""
        return {"reasoning": score_blocks(images, texts, self._score, PHOTOS, CAPTIONS)}

    def describe_parts(self) -> dict[str, str]:
        """Which half of SGRAF, and its width."""
        ways = {"sgr": "graph (SGR)", "saf": "attention filtration (SAF)"}
        return {
            "reasoning": f"{ways[self.config.reasoning]}, {self.config.similarity_width} wide"
        }

    def _encode(self, x: Tensor, mask: Tensor, gather: nn.Module) -> Encoded[Tensor]:
        local = unit(x) * mask[..., None]  # (B, n, D)
        return make_encoded(context=gather(local, mask), local=local, mask=mask)

    def _score(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        if not torch.is_grad_enabled():
            return self._reason(images, texts)
        # Of all pairs together, the similarity vectors would take gigabytes until the backward
        # pass: it computes each block's again.
        again = checkpoint(
            self._reason, images, texts, use_reentrant=False, preserve_rng_state=False
        )
        assert isinstance(again, Tensor)
        return again

    def _reason(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        """Scores (b, t) of a block."""
        regions, words = images.local, texts.local  # (b, R, D), (t, w, D)
        weights = attention(
            cosines(words, regions), images.mask, INVERSE_TEMPERATURE["t2i"]
        )  # (b, t, w, R)
        attended = weights.flatten(1, 2) @ regions  # (b, t w, D)
        local = self.compare_local(attended, words.flatten(0, 1)).unflatten(1, words.shape[:2])
        whole = self.compare_whole(images.context[:, None], texts.context)  # (b, t, S)
        nodes = torch.cat([whole[:, :, None], local], dim=2)  # (b, t, 1 + w, S)
        mask = F.pad(texts.mask, (1, 0), value=True).expand(nodes.shape[:-1])  # (b, t, 1 + w)
        reasoned = self.reasoning(nodes.flatten(0, 1), mask.flatten(0, 1))  # (b t, S)
        return torch.sigmoid(self.score(reasoned)).view(nodes.shape[:2])  # (b, t)


class Gather(nn.Module):
    """One vector of all rows, by attention from their mean.

    The paper describes it in words; the attention is the usual one, of scaled dot products.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, local: Tensor, mask: Tensor) -> Tensor:
        """Rows (B, n, D), zero outside the mask (B, n), to unit vectors (B, D)."""
        mean = local.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)  # (B, D)
        scores = (self.key(local) @ self.query(mean)[..., None])[..., 0] / mean.shape[-1] ** 0.5
        weights = scores.float().masked_fill(~mask, LOW).softmax(-1)  # (B, n)
        return unit((weights[:, None] @ local)[:, 0])


class SimilarityVector(nn.Module):
    """`W |x - y|^2`, the square by feature, at length one; equation 1."""

    def __init__(self, width: int, similarity_width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, similarity_width, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x and y (..., D), broadcast, to (..., S)."""
        x = self.weight((x - y).square())
        return x * x.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()


class GraphReasoning(nn.Module):
    """SGR: similarity vectors as the nodes of a graph; the whole's is the output of three steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(ReasoningStep(width) for _ in range(STEPS))

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Nodes (P, n, S), the whole's first, with mask (P, n), to (P, S)."""
        for step in self.steps[:-1]:
            nodes = step(nodes, nodes, mask)
        return self.steps[-1](nodes[:, :1], nodes, mask)[:, 0]  # only the whole is read


class ReasoningStep(nn.Module):
    """`s <- ReLU(W_r softmax((W_in s) (W_out s)^T) s)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.update = nn.Linear(width, width, bias=False)
        # For ReLU (He et al., ICCV 2015): with the default, three steps shrink a vector to a tenth,
        # all scores begin as one half, and a short run ends before they differ.
        nn.init.kaiming_uniform_(self.update.weight, nonlinearity="relu")

    def forward(self, queries: Tensor, nodes: Tensor, mask: Tensor) -> Tensor:
        """Some of the nodes, (P, q, S), after a step among all, (P, n, S) with mask (P, n)."""
        # Both maps at once: a matrix of S x S for all pairs, for one product less a node.
        both = self.into.weight.T @ self.out.weight  # (S, S)
        scores = (queries @ both) @ nodes.transpose(1, 2)  # (P, q, n)
        edges = scores.masked_fill(~mask[:, None], LOW).softmax(-1)  # (P, q, n)
        return F.relu(self.update(edges @ nodes))  # (P, q, S)


class Filtration(nn.Module):
    """SAF: the mean of similarity vectors, weighted by a sigmoid gate each.

    The paper's batch norm before the sigmoid is left out: with it, a pair's score would depend on
    the other pairs of its batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.importance = nn.Linear(width, 1)

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Vectors (P, n, S) with mask (P, n), at least one real, to (P, S)."""
        gates = torch.sigmoid(self.importance(nodes)[..., 0]) * mask  # (P, n)
        weights = gates / gates.sum(-1, keepdim=True).clamp_min(1e-6)  # (P, n)
        return (weights[:, None] @ nodes)[:, 0]
