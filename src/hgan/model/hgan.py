"""HGAN, the Hierarchical Graph Alignment Network: similarities of photos and sentences.

Guo et al., *HGAN: Hierarchical Graph Alignment Network for Image-Text Retrieval*, IEEE TMM, 2023.
The parts follow the abstract; the equations are our interpretation, numbered as in docs/model.md.

The file contains, in this order: settings, tower, levels, network. Feature graphs are in
`hgan.model.graph`, MFAR is in `hgan.model.mfar`, priors are in `hgan.model.prior`.
Shapes: B photos or sentences, n regions or words; d, D, D_l, D_s and K are defined in `HGANConfig`.
"""

from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.config import Bounds
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import LEVELS, TOTAL, Encoded, Level
from hgan.errors import ConfigError
from hgan.model.encoding import make_encoded
from hgan.model.graph import BoxBias, FeatureGraph, OffsetBias
from hgan.model.layers import LOW, FeatureDropout, ball, scaled, unit
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.model.mfar import Aggregation, Rearrangement
from hgan.model.pooling import GeneralisedPooling
from hgan.model.prior import EmbeddingPrior, Known, Prior
from hgan.text.encoder import TextEncoder

CHUNK_SCORES = 1 << 19
"""Word-region scores that are computed and reduced at once, so that they fit in a core's cache."""


@dataclass
class HGANConfig(MatcherConfig):
    """Settings of HGAN. Parts can be switched off for ablation studies."""

    bounds: ClassVar[Bounds] = {
        **dict.fromkeys(("width", "node_width", "graph_layers", "slots"), (1, inf)),
        **dict.fromkeys(("slot_width", "local_width", "prior_width"), (1, inf)),
        **{"prior_local_width": (1, inf), "prior_share": (0, 1), "dropout": (0, 1)},
    }

    name: Literal["hgan"] = "hgan"
    """Name of the matcher; the other keys depend on it."""
    levels: list[Level] = field(default_factory=lambda: list(LEVELS))
    """Levels of similarity that the model computes."""
    image_graph: bool = True
    """Use a feature graph over the photo's regions and its context."""
    text_graph: bool = True
    """Use a feature graph over the caption's words and its context."""
    mfar: bool = True
    """Use multi-granularity feature aggregation and rearrangement; the shared level needs it."""
    prior: Literal["classes", "dual_encoder", "none"] = "none"
    """The similarity that the network starts from: that of the class names that the backbone
    recognises (classes), that of the dual encoder which is backbone and text encoder
    (dual_encoder), or none."""
    prior_width: int = 128
    """Width P of the prior at the context level; a dual encoder has its own."""
    prior_local_width: int = 48
    """Width P_l of the prior at the local level: its first components. A dual encoder has none."""
    prior_share: float = 0.4
    """Share of the prior in the context level and in the local level."""
    width: int = 512
    """Width D of what is learned at the context level; with a dual encoder, that of its
    embeddings."""
    node_width: int = 256
    """Width d of the nodes of the feature graphs."""
    graph_layers: int = 2
    """Number of graph convolution layers."""
    slots: int = 4
    """Number K of slots of the shared level."""
    slot_width: int = 128
    """Width D_s of a slot."""
    local_width: int = 128
    """Width D_l of what is learned of a region or word at the local level."""
    dropout: float = 0.2
    """Dropout rate of the backbone features before each projection."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels or len(set(self.levels)) != len(self.levels):
            raise ConfigError(f"model.levels: {self.levels} must name each level at most once")
        if "shared" in self.levels and not self.mfar:
            raise ConfigError("model.levels: the shared level needs MFAR, but model.mfar is false")
        if self.prior == "dual_encoder" and "context" not in self.levels:
            raise ConfigError("model.levels: the prior dual_encoder needs the level context")
        if self.prior_local_width > self.prior_width:
            raise ConfigError(
                f"model.prior_local_width: {self.prior_local_width}, but it must be at most "
                f"prior_width, {self.prior_width}"
            )


# --- tower: projections, feature graph and MFAR of one modality, and the output of each level


class Tower(nn.Module):
    """Encodes the backbone features of photos or sentences as `Encoded`.

    Each level has its own projection of the backbone features: with a shared projection, the levels
    are highly correlated and their sum is no better than one level. MFAR exchanges information
    between the branches; both towers use the same MFAR modules. With `weigh`, the length of a local
    row is its weight in the mean over rows; otherwise all rows have length one.

    With a prior of class names, its vectors are further features of regions, words, photo and
    sentence, and a part of the context and of the local rows. With one of a dual encoder, what is
    learned of the context is added to its embedding, which is the feature of the whole. `from_zero`
    initialises what is learned beside or on top of the prior to zero.

    The whole has the width of regions and words, or with `whole_width` one of its own.
    """

    def __init__(
        self, source_width: int, config: HGANConfig, graph: FeatureGraph | None,
        aggregation: Aggregation | None, rearrangement: Rearrangement | None, weigh: bool = False,
        prior: Prior | None = None, from_zero: bool = False, whole_width: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.levels = frozenset(config.levels)
        self.norm = nn.LayerNorm(source_width)
        self.norm_whole = nn.LayerNorm(whole_width) if whole_width else None
        self.prior_width, self.prior_local_width = config.prior_width, config.prior_local_width
        self.share = config.prior_share
        self.is_added = prior is not None and prior.is_base
        whole_width = whole_width or source_width
        if prior is not None and not prior.is_base:
            source_width, whole_width = source_width + prior.width, whole_width + prior.width
        width = prior.width if prior is not None and prior.is_base else config.width
        self.dropout = FeatureDropout(config.dropout)
        self.graph, self.aggregation, self.rearrangement = graph, aggregation, rearrangement
        node = config.node_width
        if "context" in self.levels:
            self.context_local = nn.Linear(source_width, width)
            self.context_whole = nn.Linear(whole_width, width)
            self.pool = GeneralisedPooling()
        # If context is the only level, nodes are only needed for the graph or MFAR.
        self.has_nodes = bool(self.levels & {"local", "shared"} or graph or aggregation)
        if self.has_nodes:
            self.node_local = nn.Linear(source_width, node)
            self.node_whole = nn.Linear(whole_width, node)
            if "context" in self.levels:
                self.context_node = nn.Linear(node, width, bias=False)
                nn.init.zeros_(self.context_node.weight)
        if "shared" in self.levels:
            self.shared_local = nn.Linear(source_width, config.width)
            self.shared_node = nn.Linear(node, config.width)
        if "local" in self.levels:
            self.local_out = nn.Linear(node, config.local_width)
            self.importance = nn.Linear(node, 1) if weigh else None
        names = ["context_local", "context_whole"] if from_zero else []
        names += ["local_out"] if from_zero and not self.is_added else []  # else it has no prior
        names += ["importance"] if prior is not None else []  # words count alike at the start
        for name in names:
            if isinstance(layer := getattr(self, name, None), nn.Linear):
                nn.init.zeros_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(
        self,
        local: Tensor,
        whole: Tensor,
        mask: Tensor,
        positions: Tensor | None,
        prior: Known | None = None,
    ) -> Encoded[Tensor]:
        """Encode features of regions or words (B, n, source_width) with mask (B, n), and of the
        whole photo or sentence (B, whole_width). Positions are as in `FeatureGraph`; the prior
        places the whole, and possibly regions or words."""
        x, c = self.norm(local), (self.norm_whole or self.norm)(whole)  # (1)
        if prior is not None and prior.rows is not None:
            x = torch.cat([x, scaled(prior.rows)], dim=-1)  # (22)
            c = torch.cat([c, scaled(prior.whole)], dim=-1)
        nodes = node = None
        if self.has_nodes:
            nodes = self.node_local(self.dropout(x))  # (2): (B, n, d)
            node = self.node_whole(self.dropout(c))  # (2): (B, d)
            if self.graph is not None:
                nodes, node = self.graph(nodes, node, mask, positions)  # (3), (4)
            if self.aggregation is not None:
                nodes, node = self.aggregation(nodes, node, mask)  # (5) to (7)
        p, q = prior or (None, None)  # of regions or words, and of the whole
        return make_encoded(
            context=self._context(x, c, mask, node, q) if "context" in self.levels else None,
            slots=self._slots(x, mask, node) if "shared" in self.levels else None,
            local=self._local(nodes, mask, p) if "local" in self.levels else None,
            mask=mask,
        )

    def freeze_pooling(self, rows: int) -> None:
        """Store the pooling weights for up to this many regions or words, for export."""
        if "context" in self.levels:
            self.pool.freeze(rows)

    def _with_prior(self, learned: Tensor, prior: Tensor | None, width: int) -> Tensor:
        """What is learned (..., D) beside the prior (..., P): (..., D + width); or added to it."""
        if prior is None:
            return unit(learned)
        learned = (1 - self.share) ** 0.5 * ball(learned)
        if self.is_added:
            return unit(self.share**0.5 * unit(prior) + learned)  # (28): (B, P)
        known = self.share**0.5 * unit(prior[..., :width])
        return torch.cat([known, learned], dim=-1)  # (23), (24)

    def _context(
        self, x: Tensor, c: Tensor, mask: Tensor, node: Tensor | None, prior: Tensor | None
    ) -> Tensor:
        context = self.pool(self.context_local(self.dropout(x)), mask)  # (B, D)
        context = context + self.context_whole(self.dropout(c))
        if node is not None:
            context = context + self.context_node(node)
        return self._with_prior(context, prior, self.prior_width)  # (10): (B, D)

    def _slots(self, x: Tensor, mask: Tensor, node: Tensor | None) -> Tensor:
        assert node is not None and self.rearrangement is not None
        whole = self.shared_node(node)  # (B, D)
        nodes = torch.cat([whole[:, None], self.shared_local(self.dropout(x))], dim=1)
        real = F.pad(mask, (1, 0), value=True)  # (B, 1 + n)
        return unit(self.rearrangement(nodes, real))  # (8), (9): (B, K, D_s)

    def _local(self, nodes: Tensor | None, mask: Tensor, prior: Tensor | None) -> Tensor:
        assert nodes is not None
        rows = self._with_prior(self.local_out(nodes), prior, self.prior_local_width)
        rows = rows * mask[..., None]  # (13): (B, n, D_l)
        if self.importance is None:
            return rows
        scores = self.importance(nodes).float().squeeze(-1).masked_fill(~mask, LOW)  # (B, n)
        weight = scores.softmax(-1) * mask.sum(1, keepdim=True)  # (14): mean over words is one
        return rows * weight[..., None]


# --- levels of similarity between B photos and T captions


def context_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Cosine of the contexts, (B, T)."""
    return images.context @ texts.context.T  # (11)


def shared_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Mean cosine of the K pairs of slots, (B, T)."""
    return images.slots.flatten(1) @ texts.slots.flatten(1).T / images.slots.shape[1]  # (12)


def local_similarity(images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Cosine of each word and its best region, averaged over words, (B, T); equation (15).

    Padding is ignored. A caption without words and a photo without regions have similarity zero.
    """
    photos, counts = len(images.mask), texts.mask.sum(1)
    total = images.local.new_zeros(len(counts), photos)  # (T, B)
    if not images.mask.numel():
        return total.T
    # Padded words are removed first, so that no time is spent on them.
    owner, words = texts.mask.nonzero(as_tuple=True)[0], texts.local[texts.mask]  # (P), (P, D_l)
    regions = images.local.flatten(0, 1).T  # (D_l, B * n)
    hidden = None if images.mask.all() else ~images.mask.flatten()  # (B * n)
    empty = ~images.mask.any(1)  # (B)
    step = max(1, CHUNK_SCORES // images.mask.numel())
    for chunk, captions in zip(torch.split(words, step), torch.split(owner, step), strict=True):
        scores = chunk @ regions  # (p, B * n)
        if hidden is not None:
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        best = scores.view(-1, *images.mask.shape).amax(-1).float()  # (p, B)
        total.index_add_(0, captions, best if hidden is None else best.masked_fill(empty, 0.0))
    return total.T / counts.clamp_min(1)


SIMILARITY = dict(context=context_similarity, shared=shared_similarity, local=local_similarity)
"""The similarity function of each level, by the level's name."""


# --- the network


@MATCHERS.register
class HGAN(Matcher):
    """Encodes photos and sentences, and compares them at up to three levels."""

    Config = HGANConfig
    title = "HGAN"
    source = (
        "Hierarchical Graph Alignment Network (Guo et al., IEEE TMM 25, 2023; arXiv 2212.08281)."
    )
    config: HGANConfig

    def __init__(
        self,
        config: HGANConfig,
        image_width: int,
        text: TextEncoder,
        prior: Prior | None = None,
        context_width: int = 0,
    ) -> None:
        super().__init__(config, image_width, text, config.levels)
        self.uses_mosaics = "local" in config.levels
        self.prior, self.context_width = prior, context_width
        if prior is not None:
            self._start_from(prior)
        node, drop = config.node_width, config.dropout
        aggregation = Aggregation(node) if config.mfar else None
        rearrangement = None
        if "shared" in config.levels:
            rearrangement = Rearrangement(config.width, config.slots, config.slot_width)

        def graph(on: bool, bias: nn.Module) -> FeatureGraph | None:
            return FeatureGraph(node, config.graph_layers, drop, bias) if on else None

        image_graph = graph(config.image_graph, BoxBias())
        text_graph = graph(config.text_graph, OffsetBias())
        # The same MFAR modules go into both towers: their parameters are shared.
        # Beside a prior, one side starts at zero; on top of one, both do.
        has, is_base = prior is not None, prior is not None and prior.is_base
        self.image_tower = Tower(
            image_width, config, image_graph, aggregation, rearrangement,
            prior=prior, from_zero=has, whole_width=context_width,
        )  # fmt: skip
        self.text_tower = Tower(
            text.width, config, text_graph, aggregation, rearrangement, weigh=True,
            prior=prior, from_zero=is_base, whole_width=text.context_width,
        )  # fmt: skip

    def _start_from(self, prior: Prior) -> None:
        """Make S that of the prior: until weights are chosen, it is without the other levels."""
        self.has_prior, names = True, self.config.levels
        known = {"context"} if prior.is_base else set(names) - {"shared"}
        known = known & set(names) or set(names)
        self.set_weights({name: (name in known) / len(known) for name in names})
        if isinstance(prior, EmbeddingPrior):
            self.optional_levels = frozenset(names) - known
            if prior.temperature is not None:
                self.temperatures = {name: prior.temperature for name in ("context", TOTAL)}

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Encode the features of photos."""
        prior = None if self.prior is None else self.prior.of_photos(batch)
        return self.image_tower(batch.regions, batch.context, batch.mask, batch.boxes, prior)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Encode the tokens of captions."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache, batch.pretrained_cache)
        prior = None if self.prior is None else self.prior.of_texts(token, batch.mask)
        # Positions do not count padding, so that they do not depend on where the padding is.
        positions = batch.mask.cumsum(1)  # (T, W)
        return self.text_tower(token.states, token.context, token.words, positions, prior)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) each."""
        return {name: SIMILARITY[name](images, texts) for name in self.config.levels}

    @property
    def widths(self) -> dict[str, int]:
        """Widths of the levels, as in a bundle; zero for a missing level."""
        config, has, prior = self.config, set(self.config.levels), self.prior
        context, local = config.width, config.local_width
        if prior is not None and prior.is_base:
            context = prior.width
        elif prior is not None:
            context, local = context + config.prior_width, local + config.prior_local_width
        return {
            "context": context,
            "slots": config.slots if "shared" in has else 0,
            "slot": config.slot_width if "shared" in has else 0,
            "local": local if "local" in has else 0,
        }

    def freeze_pooling(self, regions: int, words: int) -> None:
        """Prepare for export: store the pooling weights for up to so many regions and words."""
        self.image_tower.freeze_pooling(regions)
        self.text_tower.freeze_pooling(words)

    def describe_parts(self) -> dict[str, str]:
        """Which feature graphs are used, and whether MFAR is used."""
        on = {True: "yes", False: "no"}
        graphs = f"photo {on[self.config.image_graph]}, sentence {on[self.config.text_graph]}"
        return {"feature graphs": graphs, "MFAR": on[self.config.mfar]}
