"""SGRAF: computes a similarity vector for each word of a pair, and reasons over these vectors.

Diao et al., *Similarity Reasoning and Filtration for Image-Text Matching*, AAAI 2021:

    s(x, y) = unit(W |x - y|^2)                   similarity vector, squared element by element; (1)
    SGR:  s <- ReLU(W_r softmax((W_in s) (W_out s)^T) s), three times
    SAF:  unit(sum_i g_i s_i / sum_i g_i),  g_i = sigmoid(w^T s_i)

Where the paper gives no equation, this follows the authors' code: the attended vector of a word and
the output of SAF have length one, linear layers have a bias, and the whole photo or sentence is
gathered as in `Gather`. As in the paper, SGR and SAF are trained separately, and the score is the
output of a sigmoid. It is between 0 and 1, which suits the margin of the hinge loss and the
temperature of InfoNCE.
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
from hgan.model.baselines.inputs import BaselineConfig, region_rows, word_rows
from hgan.model.baselines.scan import INVERSE_TEMPERATURE, attention, cosines
from hgan.model.encoding import make_encoded
from hgan.model.layers import LOW, projection, unit
from hgan.model.matcher import MATCHERS, Matcher
from hgan.text.encoder import TextEncoder

STEPS = 3
"""Number of steps of similarity graph reasoning."""
PHOTOS, CAPTIONS = 16, 16
"""Size of a block that is scored at once."""


@dataclass
class SGRAFConfig(BaselineConfig):
    """Settings of SGRAF (SGR or SAF)."""

    bounds: ClassVar[Bounds] = {
        **BaselineConfig.bounds,
        **{"similarity_width": (1, inf), "leak": (0, 1), "gather_dropout": (0, 1)},
    }

    name: Literal["sgraf"] = "sgraf"
    """Name of the matcher; the other keys depend on it."""
    reasoning: Literal["sgr", "saf"] = "sgr"
    """Similarity graph reasoning (sgr), or similarity attention filtration (saf)."""
    similarity_width: int = 256
    """Width of a similarity vector."""
    leak: float = 0.0
    """Part of a negative cosine that counts in the attention: 0 in the paper, 0.1 in the authors'
    code."""
    gather_dropout: float = 0.0
    """Dropout rate in the attention that gathers the whole photo or sentence; 0.4 in the authors'
    code."""
    batch_norm: bool = False
    """Batch norm in SAF and where the photo is gathered, as in the paper and the authors' code. In
    evaluation, it uses running statistics, so that no pair depends on another."""


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
        self.project_regions = projection(image_width, width, config.dropout, config.norm)
        self.project_words = projection(text.width, width, config.dropout, config.norm)
        self.gather_regions = Gather(width, config.gather_dropout, config.batch_norm)
        self.gather_words = Gather(width, config.gather_dropout)
        self.compare_whole = SimilarityVector(width, similarity_width)
        self.compare_local = SimilarityVector(width, similarity_width)
        self.reasoning: nn.Module = GraphReasoning(similarity_width)
        if config.reasoning == "saf":
            self.reasoning = Filtration(similarity_width, config.batch_norm)
        self.score = nn.Linear(similarity_width, 1)

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Encode each region and the whole photo as unit vectors."""
        rows, mask = region_rows(batch, self.config.context)
        return self._encode(self.project_regions(rows), mask, self.gather_regions)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Encode each word and the whole caption as unit vectors."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        rows, mask = word_rows(token, self.config.context)
        return self._encode(self.project_words(rows), mask, self.gather_words)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Scores (B, T) between 0 and 1 of the reasoning network."""
        size = PHOTOS, CAPTIONS
        if self.training and self.config.batch_norm and self.config.reasoning == "saf":
            size = len(images.local), 1  # statistics of a caption with all photos, as in their code
        return {"reasoning": score_blocks(images, texts, self._score, *size)}

    def describe_parts(self) -> dict[str, str]:
        """SGR or SAF, and the width of the similarity vectors."""
        ways = {"sgr": "graph (SGR)", "saf": "attention filtration (SAF)"}
        return {"reasoning": f"{ways[self.config.reasoning]}, {self.config.similarity_width} wide"}

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
        scale, leak = INVERSE_TEMPERATURE["t2i"], self.config.leak
        weights = attention(cosines(words, regions), images.mask, scale, leak)  # (b, t, w, R)
        attended = unit(weights.flatten(1, 2) @ regions)  # (b, t w, D)
        local = self.compare_local(attended, words.flatten(0, 1)).unflatten(1, words.shape[:2])
        whole = self.compare_whole(images.context[:, None], texts.context)  # (b, t, S)
        nodes = torch.cat([whole[:, :, None], local], dim=2)  # (b, t, 1 + w, S)
        mask = F.pad(texts.mask, (1, 0), value=True).expand(nodes.shape[:-1])  # (b, t, 1 + w)
        reasoned = self.reasoning(nodes.flatten(0, 1), mask.flatten(0, 1))  # (b t, S)
        return torch.sigmoid(self.score(reasoned)).view(nodes.shape[:2])  # (b, t)


class Gather(nn.Module):
    """Pools rows to one vector, by attention with their mean as the query.

    The paper gives no equation for it. As in the authors' code, the score of row x is
    w^T (tanh(W_x x) * tanh(W_m m)), m the mean of the rows. With batch norm, features are
    normalised before tanh; the authors' code normalises each of 36 regions, which would depend on
    their number.
    """

    def __init__(self, width: int, dropout: float, batch_norm: bool = False) -> None:
        super().__init__()
        self.key, self.query = nn.Linear(width, width), nn.Linear(width, width)
        self.norm_key = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        self.norm_query = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(width, 1)

    def forward(self, local: Tensor, mask: Tensor) -> Tensor:
        """Pool rows (B, n, D), zero outside the mask (B, n), to unit vectors (B, D)."""
        mean = local.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)  # (B, D)
        key = over_rows(self.norm_key, self.key(local), mask)  # (B, n, D)
        key, query = key.tanh(), self.norm_query(self.query(mean)).tanh()
        scores = self.score(self.dropout(key) * self.dropout(query)[:, None])[..., 0]  # (B, n)
        weights = scores.float().masked_fill(~mask, LOW).softmax(-1)  # (B, n)
        return unit((weights[:, None] @ local)[:, 0])


def over_rows(norm: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """Apply a batch norm to rows x (B, n, D) in the mask (B, n), so that padding does not count."""
    if isinstance(norm, nn.Identity):
        return x
    return torch.zeros_like(x).masked_scatter(mask[..., None], norm(x[mask]))


class SimilarityVector(nn.Module):
    """`W |x - y|^2`, squared element by element and normalised to length one; equation 1."""

    def __init__(self, width: int, similarity_width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, similarity_width)

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
        self.into = nn.Linear(width, width)
        # A bias here would add the same to all scores of a query, which softmax ignores.
        self.out = nn.Linear(width, width, bias=False)
        self.update = nn.Linear(width, width)
        # Initialisation for ReLU (He et al., ICCV 2015). With torch's default, three steps shrink a
        # vector to a tenth: all scores start near 0.5, and short runs are too short to learn.
        nn.init.kaiming_uniform_(self.update.weight, nonlinearity="relu")

    def forward(self, queries: Tensor, nodes: Tensor, mask: Tensor) -> Tensor:
        """Update the query nodes (P, q, S) from all nodes (P, n, S) with mask (P, n)."""
        # W_in^T W_out is computed once, which saves one product for each node.
        both = self.into.weight.T @ self.out.weight  # (S, S)
        scores = (queries @ both + self.into.bias @ self.out.weight) @ nodes.transpose(1, 2)
        edges = scores.masked_fill(~mask[:, None], LOW).softmax(-1)  # (P, q, n)
        return F.relu(self.update(edges @ nodes))  # (P, q, S)


class Filtration(nn.Module):
    """SAF: the mean of the similarity vectors, weighted by sigmoid gates, at length one."""

    def __init__(self, width: int, batch_norm: bool = False) -> None:
        super().__init__()
        self.importance = nn.Linear(width, 1)
        self.norm = nn.BatchNorm1d(1) if batch_norm else nn.Identity()

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Vectors (P, n, S) to (P, S); the mask (P, n) has at least one vector per pair."""
        scores = over_rows(self.norm, self.importance(nodes), mask)[..., 0]  # (P, n)
        gates = torch.sigmoid(scores) * mask  # (P, n)
        weights = gates / gates.sum(-1, keepdim=True).clamp_min(1e-6)  # (P, n)
        return unit((weights[:, None] @ nodes)[:, 0])
