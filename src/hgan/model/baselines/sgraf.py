"""SGRAF: computes a similarity vector for each word of a pair, and reasons over these vectors.

Diao et al., *Similarity Reasoning and Filtration for Image-Text Matching*, AAAI 2021:

    s(x, y) = W |x - y|^2 / ||W |x - y|^2||       similarity vector, squared element by element; (1)
    SGR:  s <- ReLU(W_r softmax((W_in s) (W_out s)^T) s), three times
    SAF:  sum_i g_i s_i / sum_i g_i,  g_i = sigmoid(w^T s_i)

As in the paper, SGR and SAF are trained separately, and the score is the output of a sigmoid. It is
between 0 and 1, which suits the margin of the hinge loss and the temperature of InfoNCE.
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
"""Number of steps of similarity graph reasoning."""
PHOTOS, CAPTIONS = 16, 16
"""Size of a block that is scored at once."""


@dataclass
class SGRAFConfig(MatcherConfig):
    """Settings of SGRAF (SGR or SAF)."""

    bounds: ClassVar[Bounds] = {
        **dict.fromkeys(("width", "similarity_width"), (1, inf)),
        "dropout": (0, 1),
    }

    name: Literal["sgraf"] = "sgraf"
    """Name of the matcher; the other keys depend on it."""
    width: int = 512
    """Width D of a region or word."""
    dropout: float = 0.2
    """Dropout rate of the backbone features before the projection."""
    reasoning: Literal["sgr", "saf"] = "sgr"
    """Similarity graph reasoning (sgr), or similarity attention filtration (saf)."""
    similarity_width: int = 256
    """Width of a similarity vector."""


@MATCHERS.register
class SGRAF(Matcher):
    """SGR or SAF, depending on the settings; its only level is `reasoning`."""

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
        """Encode each region and the whole photo as unit vectors."""
        return self._encode(self.project_regions(batch.regions), batch.mask, self.gather_regions)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Encode each word and the whole caption as unit vectors."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        return self._encode(self.project_words(token.states), token.words, self.gather_words)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Scores (B, T) between 0 and 1 of the reasoning network."""
        return {"reasoning": score_blocks(images, texts, self._score, PHOTOS, CAPTIONS)}

    def describe_parts(self) -> dict[str, str]:
        """SGR or SAF, and the width of the similarity vectors."""
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
        # The similarity vectors of all pairs would take gigabytes until the backward pass, so each
        # block is computed again there.
        scores = checkpoint(
            self._reason, images, texts, use_reentrant=False, preserve_rng_state=False
        )
        assert isinstance(scores, Tensor)
        return scores

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
    """Pools rows to one vector, by attention with their mean as the query.

    The paper gives no equation for it; here it is scaled dot-product attention.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, local: Tensor, mask: Tensor) -> Tensor:
        """Pool rows (B, n, D), zero outside the mask (B, n), to unit vectors (B, D)."""
        mean = local.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)  # (B, D)
        scores = (self.key(local) @ self.query(mean)[..., None])[..., 0] / mean.shape[-1] ** 0.5
        weights = scores.float().masked_fill(~mask, LOW).softmax(-1)  # (B, n)
        return unit((weights[:, None] @ local)[:, 0])


class SimilarityVector(nn.Module):
    """`W |x - y|^2`, squared element by element and normalised to length one; equation 1."""

    def __init__(self, width: int, similarity_width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, similarity_width, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare x and y (..., D), with broadcasting; return (..., S)."""
        x = self.weight((x - y).square())
        return x * x.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()


class GraphReasoning(nn.Module):
    """SGR: three steps on a graph whose nodes are the similarity vectors. The output is the node of
    the whole photo and caption."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(ReasoningStep(width) for _ in range(STEPS))

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Nodes (P, n, S) with mask (P, n) to (P, S); the first node is that of the whole."""
        for step in self.steps[:-1]:
            nodes = step(nodes, nodes, mask)
        return self.steps[-1](nodes[:, :1], nodes, mask)[:, 0]  # only the first node is used


class ReasoningStep(nn.Module):
    """One step of graph reasoning, `s <- ReLU(W_r softmax((W_in s) (W_out s)^T) s)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.update = nn.Linear(width, width, bias=False)
        # Initialisation for ReLU (He et al., ICCV 2015). With torch's default, three steps shrink a
        # vector to a tenth: all scores start near 0.5, and short runs are too short to learn.
        nn.init.kaiming_uniform_(self.update.weight, nonlinearity="relu")

    def forward(self, queries: Tensor, nodes: Tensor, mask: Tensor) -> Tensor:
        """Update the query nodes (P, q, S) from all nodes (P, n, S) with mask (P, n)."""
        # W_in^T W_out is computed once, which saves one product for each node.
        both = self.into.weight.T @ self.out.weight  # (S, S)
        scores = (queries @ both) @ nodes.transpose(1, 2)  # (P, q, n)
        edges = scores.masked_fill(~mask[:, None], LOW).softmax(-1)  # (P, q, n)
        return F.relu(self.update(edges @ nodes))  # (P, q, S)


class Filtration(nn.Module):
    """SAF: the mean of the similarity vectors, weighted by sigmoid gates.

    The batch norm of the paper before the sigmoid is left out: with it, the score of a pair would
    depend on the other pairs in its batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.importance = nn.Linear(width, 1)

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Vectors (P, n, S) to (P, S); the mask (P, n) has at least one vector per pair."""
        gates = torch.sigmoid(self.importance(nodes)[..., 0]) * mask  # (P, n)
        weights = gates / gates.sum(-1, keepdim=True).clamp_min(1e-6)  # (P, n)
        return (weights[:, None] @ nodes)[:, 0]
