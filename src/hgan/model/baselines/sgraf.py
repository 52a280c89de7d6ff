"""SGRAF: a pair is not one number a word but a vector a word, and a network reasons over those.

Diao et al., *Similarity Reasoning and Filtration for Image-Text Matching*, AAAI 2021. The paper
trains its two halves apart, and so are they here: SGR, a graph over the similarity vectors of a
pair, and SAF, an attention over them. Its score is a sigmoid, kept: it lies between 0 and 1 as the
margin of the hinge and the temperature of InfoNCE expect.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from hgan.config import ModelConfig
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.baselines.blocks import score_blocks
from hgan.model.baselines.projection import projection
from hgan.model.baselines.scan import SHARPNESS, attention, cosines
from hgan.model.matcher import Matcher
from hgan.model.tower import LOW, unit
from hgan.text.encoder import TextEncoder

STEPS = 3
"""Of similarity graph reasoning."""
PHOTOS, CAPTIONS = 16, 16
"""Scored at once."""


class SGRAF(Matcher):
    """SGR or SAF, as the configuration says, on one level: reasoning."""

    def __init__(self, config: ModelConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text, ["reasoning"])
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

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The score of a network that sees both, in 0..1, (B, T)."""
        return {"reasoning": score_blocks(images, texts, self._score, PHOTOS, CAPTIONS)}

    def _encode(self, x: Tensor, mask: Tensor, gather: nn.Module) -> Encoded[Tensor]:
        local = unit(x) * mask[..., None]
        return Encoded(gather(local, mask), local.new_zeros(local.shape[0], 0, 0), local, mask)

    def _score(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        if not torch.is_grad_enabled():
            return self._reason(images, texts)
        # Of all pairs together, the similarity vectors would take gigabytes until the backward
        # pass: it makes each block's anew.
        again = checkpoint(
            self._reason, images, texts, use_reentrant=False, preserve_rng_state=False
        )
        assert isinstance(again, Tensor)
        return again

    def _reason(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        """Scores (b, t) of a block."""
        regions, words = images.local, texts.local
        weights = attention(cosines(words, regions), images.mask, SHARPNESS["t2i"])  # (b, t, w, R)
        attended = weights.flatten(1, 2) @ regions  # (b, t w, D)
        local = self.compare_local(attended, words.flatten(0, 1)).unflatten(1, words.shape[:2])
        whole = self.compare_whole(images.context[:, None], texts.context)  # (b, t, S)
        nodes = torch.cat([whole[:, :, None], local], dim=2)  # (b, t, 1 + w, S)
        mask = F.pad(texts.mask, (1, 0), value=True).expand(nodes.shape[:-1])
        reasoned = self.reasoning(nodes.flatten(0, 1), mask.flatten(0, 1))  # (b t, S)
        return torch.sigmoid(self.score(reasoned).float()).view(nodes.shape[:2])


class Gather(nn.Module):
    """One vector of all rows, attended to from their mean.

    The paper says that much in words; the attention is the usual one, of scaled dot products.
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
        x = self.weight((x - y).square()).float()
        return x * x.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()


class GraphReasoning(nn.Module):
    """SGR: similarity vectors as the nodes of a graph, the whole's read out after three steps."""

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
        # all scores begin as one half, and a short run ends before they have parted.
        nn.init.kaiming_uniform_(self.update.weight, nonlinearity="relu")

    def forward(self, queries: Tensor, nodes: Tensor, mask: Tensor) -> Tensor:
        """Some of the nodes, (P, q, S), after a step among all, (P, n, S) with mask (P, n)."""
        # Both maps at once: a matrix of S x S for all pairs, for one product less a node.
        both = self.into.weight.T @ self.out.weight
        scores = (queries @ both) @ nodes.transpose(1, 2)  # (P, q, n)
        edges = scores.float().masked_fill(~mask[:, None], LOW).softmax(-1).to(nodes.dtype)
        return F.relu(self.update(edges @ nodes))


class Filtration(nn.Module):
    """SAF: the mean of similarity vectors, weighted by how much each has to say.

    The paper's batch norm before the sigmoid is left out: it would let a pair's score depend on the
    other pairs of its batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.importance = nn.Linear(width, 1)

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Vectors (P, n, S) with mask (P, n), at least one real, to (P, S)."""
        gates = torch.sigmoid(self.importance(nodes)[..., 0].float()) * mask  # (P, n)
        weights = gates / gates.sum(-1, keepdim=True).clamp_min(1e-6)
        return (weights.to(nodes.dtype)[:, None] @ nodes)[:, 0]
