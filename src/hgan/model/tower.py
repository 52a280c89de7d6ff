"""One modality's way into the shared space: projections, feature graph, MFAR, three levels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.config import ModelConfig
from hgan.encoded import Encoded
from hgan.model.dropout import FeatureDropout
from hgan.model.graph import FeatureGraph
from hgan.model.mfar import Aggregation, Rearrangement
from hgan.model.pooling import GeneralisedPooling

LOW = torch.finfo(torch.float32).min
"""The score of what is not there; unlike minus infinity it leaves a row without words finite."""


class Tower(nn.Module):
    """Backbone features of photos or sentences to `Encoded`.

    Each level has a projection of its own from the backbone's features: levels on one trunk hold
    one opinion three times, levels on branches complement each other. MFAR carries information
    between the branches, through paths that start at zero.

    Args:
        source_width: of the backbone's features.
        config: which parts there are, and how wide.
        graph: the modality's feature graph, or None.
        aggregation: MFAR's first half, the same module in both towers, or None.
        rearrangement: MFAR's second half, likewise.
        weigh: whether local rows have a length, how much each counts in the mean over them;
            otherwise all have length one.
    """

    def __init__(
        self,
        source_width: int,
        config: ModelConfig,
        graph: FeatureGraph | None,
        aggregation: Aggregation | None,
        rearrangement: Rearrangement | None,
        weigh: bool = False,
    ) -> None:
        super().__init__()
        self.levels = frozenset(config.levels)
        self.norm = nn.LayerNorm(source_width)
        self.dropout = FeatureDropout(config.dropout)
        self.graph, self.aggregation, self.rearrangement = graph, aggregation, rearrangement
        node = config.node_width
        if "context" in self.levels:
            self.context_local = nn.Linear(source_width, config.width)
            self.context_whole = nn.Linear(source_width, config.width)
            self.pool = GeneralisedPooling()
        # Without graph and MFAR, nodes are of no use to the context.
        self.has_nodes = bool(self.levels & {"local", "shared"} or graph or aggregation)
        if self.has_nodes:
            self.node_local = nn.Linear(source_width, node)
            self.node_whole = nn.Linear(source_width, node)
            if "context" in self.levels:
                self.context_node = nn.Linear(node, config.width, bias=False)
                nn.init.zeros_(self.context_node.weight)
        if "shared" in self.levels:
            self.shared_local = nn.Linear(source_width, config.width)
            self.shared_node = nn.Linear(node, config.width)
        if "local" in self.levels:
            self.local_out = nn.Linear(node, config.local_width)
            self.importance = nn.Linear(node, 1) if weigh else None

    def forward(
        self, local: Tensor, whole: Tensor, mask: Tensor, places: Tensor | None
    ) -> Encoded[Tensor]:
        """Encode features of regions or words.

        Args:
            local: (B, n, source_width).
            whole: (B, source_width), the photo's or sentence's context.
            mask: (B, n), True where a region or word is real.
            places: boxes (n, 4) or (B, n, 4), or word positions (B, n), where they are known.
        """
        local, whole = self.norm(local), self.norm(whole)
        nodes = node = None
        if self.has_nodes:
            nodes, node = self._exchange(local, whole, mask, places)
        return Encoded(
            context=self._context(local, whole, mask, node),
            slots=self._slots(local, node, mask),
            local=self._local(nodes, mask),
            mask=mask if "local" in self.levels else mask[:, :0],
        )

    def freeze_pooling(self, rows: int) -> None:
        """Fix the pooling weights of up to this many regions or words, for export."""
        if "context" in self.levels:
            self.pool.freeze(rows)

    def _exchange(
        self, local: Tensor, whole: Tensor, mask: Tensor, places: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        nodes = self.node_local(self.dropout(local))  # (B, n, d)
        node = self.node_whole(self.dropout(whole))  # (B, d)
        if self.graph is not None:
            nodes, node = self.graph(nodes, node, mask, places)
        if self.aggregation is not None:
            nodes, node = self.aggregation(nodes, node, mask)
        return nodes, node

    def _context(self, local: Tensor, whole: Tensor, mask: Tensor, node: Tensor | None) -> Tensor:
        if "context" not in self.levels:
            return local.new_zeros(local.shape[0], 0)
        context = self.pool(self.context_local(self.dropout(local)), mask)
        context = context + self.context_whole(self.dropout(whole))
        if node is not None:
            context = context + self.context_node(node)
        return unit(context)  # (B, D)

    def _slots(self, local: Tensor, node: Tensor | None, mask: Tensor) -> Tensor:
        if "shared" not in self.levels:
            return local.new_zeros(local.shape[0], 0, 0)
        assert node is not None and self.rearrangement is not None
        whole = self.shared_node(node)
        nodes = torch.cat([whole[:, None], self.shared_local(self.dropout(local))], dim=1)
        return unit(self.rearrangement(nodes, F.pad(mask, (1, 0), value=True)))  # (B, K, D_s)

    def _local(self, nodes: Tensor | None, mask: Tensor) -> Tensor:
        if "local" not in self.levels:
            return mask.new_zeros(mask.shape[0], 0, 0, dtype=torch.float32)
        assert nodes is not None
        rows = unit(self.local_out(nodes)) * mask[..., None]  # (B, n, D_l)
        if self.importance is None:
            return rows
        # Words differ in what they say of a photo: a row's length is its word's share of the mean.
        share = self.importance(nodes).float().squeeze(-1).masked_fill(~mask, LOW).softmax(-1)
        return rows * (share * mask.sum(1, keepdim=True))[..., None]


def unit(x: Tensor) -> Tensor:
    """Rows of length one, in float32; a zero row stays zero, with a gradient."""
    return F.normalize(x.float(), dim=-1, eps=1e-6)
