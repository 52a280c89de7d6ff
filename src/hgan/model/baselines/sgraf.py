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

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from hgan.config import Bounds
from hgan.encoded import Encoded
from hgan.model.baselines.attention import attention, cosines, inverse_length
from hgan.model.baselines.baseline import Baseline, BaselineConfig
from hgan.model.baselines.blocks import Captions, Size
from hgan.model.baselines.pairs import score_pairs
from hgan.model.baselines.scan import INVERSE_TEMPERATURE
from hgan.model.baselines.similarity import SimilarityVector
from hgan.model.encoding import make_encoded
from hgan.model.layers import LOW, unit
from hgan.model.matcher import MATCHERS
from hgan.model.prior import Prior
from hgan.text.encoder import TextEncoder

STEPS = 3
"""Number of steps of similarity graph reasoning."""
SIZE = Size(photos=32, words=1024, group=128)
"""Size of the blocks that are scored at once."""


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
class SGRAF(Baseline):
    """SGR or SAF, depending on the settings; its own level is `reasoning`."""

    Config = SGRAFConfig
    title = "SGRAF"
    source = "Similarity reasoning and filtration (Diao et al., AAAI 2021; arXiv 2101.01368)."
    own_levels = ("reasoning",)
    config: SGRAFConfig

    def __init__(
        self,
        config: SGRAFConfig,
        image_width: int,
        text: TextEncoder,
        prior: Prior | None = None,
    ) -> None:
        super().__init__(config, image_width, text, prior)
        width, similarity_width = config.width, config.similarity_width
        self.gather_regions = Gather(width, config.gather_dropout, config.batch_norm)
        self.gather_words = Gather(width, config.gather_dropout)
        self.compare_whole = SimilarityVector(width, similarity_width)
        self.compare_local = SimilarityVector(width, similarity_width)
        self.reasoning: nn.Module = GraphReasoning(similarity_width)
        if config.reasoning == "saf":
            self.reasoning = Filtration(similarity_width, config.batch_norm)
        self.score = nn.Linear(similarity_width, 1)

    def encode_regions(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode each region and the whole photo as unit vectors."""
        return self._encode(self.project_regions(rows), mask, self.gather_regions)

    def encode_words(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode each word and the whole caption as unit vectors."""
        return self._encode(self.project_words(rows), mask, self.gather_words)

    def compare_own(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Scores (B, T) between 0 and 1 of the reasoning network."""
        gram = images.local @ images.local.transpose(1, 2)  # (B, R, R)
        photos = images.context, images.local, gram
        parts = (self.compare_whole, self.compare_local, self.reasoning, self.score)
        parameters = [p for part in parts for p in part.parameters()]
        apart = not (self.training and self.config.batch_norm and self.config.reasoning == "saf")
        return {"reasoning": score_pairs(photos, texts, self._score, SIZE, parameters, apart)}

    def describe_parts(self) -> dict[str, str]:
        """SGR or SAF, and the width of the similarity vectors."""
        ways = {"sgr": "graph (SGR)", "saf": "attention filtration (SAF)"}
        return {"reasoning": f"{ways[self.config.reasoning]}, {self.config.similarity_width} wide"}

    def _encode(self, x: Tensor, mask: Tensor, gather: nn.Module) -> Encoded[Tensor]:
        local = unit(x) * mask[..., None]  # (B, n, D)
        return make_encoded(context=gather(local, mask), local=local, mask=mask)

    def _score(self, photos: Sequence[Tensor], captions: Captions) -> Tensor:
        """Scores (b, t) of a block. Photos are given as vectors of the whole (b, D), regions
        (b, R, D), and Gram matrices of the regions (b, R, R)."""
        whole, regions, gram = photos
        scores = []
        for cosine, words, texts in zip(
            captions.split(cosines(regions, captions.words), -1),  # (b, R, t, w)
            captions.split(captions.words, 1),  # (g, t, w, D)
            torch.split(captions.whole, [count for count, _ in captions.groups], 1),  # (g, t, D)
            strict=True,
        ):
            scale, leak = INVERSE_TEMPERATURE["t2i"], self.config.leak
            weights = attention(cosine, -1, scale, leak).flatten(2)  # (b, R, t w)
            squared = ((gram @ weights) * weights).sum(1)  # (b, t w)
            weights = weights * inverse_length(squared, weights.sum(1))[:, None]
            local = self.compare_local(weights, regions, words.flatten(1, 2))  # (b, t w, S)
            alone = whole.new_ones(len(whole), 1, texts.shape[1])
            both = self.compare_whole(alone, whole[:, None], texts)  # (b, t, S)
            nodes = torch.cat([both[:, :, None], local.unflatten(1, words.shape[1:3])], dim=2)
            scores.append(torch.sigmoid(self.score(self.reasoning(nodes)))[..., 0])  # (b, t)
        return torch.cat(scores, dim=1)


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


class GraphReasoning(nn.Module):
    """SGR: three steps on a graph whose nodes are the similarity vectors. The output is the node of
    the whole photo and caption."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(ReasoningStep(width) for _ in range(STEPS))

    def forward(self, nodes: Tensor) -> Tensor:
        """Nodes (b, t, n, S) to (b, t, S); the first node of a pair is that of the whole."""
        flat = nodes.flatten(0, 1)  # (b t, n, S)
        if not torch.is_grad_enabled():
            return self._reason(flat).view(*nodes.shape[:2], -1)
        # The steps of all pairs would take gigabytes until the backward pass, so they are computed
        # again there.
        reasoned = checkpoint(self._reason, flat, use_reentrant=False, preserve_rng_state=False)
        assert isinstance(reasoned, Tensor)
        return reasoned.view(*nodes.shape[:2], -1)

    def _reason(self, nodes: Tensor) -> Tensor:
        for step in self.steps[:-1]:
            nodes = step(nodes, nodes)
        return self.steps[-1](nodes[:, :1], nodes)[:, 0]  # only the first node is used


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

    def forward(self, queries: Tensor, nodes: Tensor) -> Tensor:
        """Update the query nodes (P, q, S) from all nodes (P, n, S)."""
        # W_in^T W_out is computed once, which saves one product for each node.
        both = self.out.weight.T @ self.into.weight  # (S, S)
        asked = F.linear(queries, both, self.into.bias @ self.out.weight)  # (P, q, S)
        # Softmax is many times faster over the first of two dimensions than over a short last one.
        edges = (nodes @ asked.transpose(1, 2)).softmax(1)  # (P, n, q)
        return F.relu(self.update(edges.transpose(1, 2) @ nodes))  # (P, q, S)


class Filtration(nn.Module):
    """SAF: the mean of the similarity vectors, weighted by sigmoid gates, at length one."""

    def __init__(self, width: int, batch_norm: bool = False) -> None:
        super().__init__()
        self.importance = nn.Linear(width, 1)
        self.norm = nn.BatchNorm1d(1) if batch_norm else nn.Identity()

    def forward(self, nodes: Tensor) -> Tensor:
        """Vectors (b, t, n, S) to (b, t, S), n at least one."""
        gates = torch.sigmoid(self._normalise(self.importance(nodes)[..., 0]))  # (b, t, n)
        weights = gates / gates.sum(-1, keepdim=True).clamp_min(1e-6)
        return unit((weights[..., None, :] @ nodes)[..., 0, :])

    def _normalise(self, x: Tensor) -> Tensor:
        """Batch norm of x (b, t, n). As in the authors' code, the batch of a caption is its nodes
        with all photos."""
        if isinstance(self.norm, nn.Identity):
            return x
        captions = torch.split(x, 1 if self.training else x.shape[1], dim=1)
        return torch.cat([self.norm(part.reshape(-1, 1)).view_as(part) for part in captions], 1)
