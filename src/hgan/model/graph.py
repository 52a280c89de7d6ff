"""Feature graphs: regions or words, and the context, as nodes of a fully connected graph.

One graph convolution a layer, over learned edges that know where two nodes stand to each other. The
contract (a feature graph for each modality) is the paper's; the equations are our reading, after
VSRN (Li et al., ICCV 2019) and GSMN (Liu et al., CVPR 2020). See docs/model.md.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.model.dropout import FeatureDropout

MAX_OFFSET = 8
"""Word distances beyond this count as this."""


class GraphLayer(nn.Module):
    """`X <- X + dropout(act(A norm(X) W) O)`, with `O` zero at the start: it begins as identity."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width, bias=False)
        self.dropout = FeatureDropout(dropout)
        nn.init.zeros_(self.out.weight)

    def forward(self, nodes: Tensor, bias: Tensor) -> Tensor:
        """Nodes (B, n, d) and edge bias, (n, n) or (B, n, n), minus infinity towards padding."""
        x = self.norm(nodes)
        scores = self.query(x) @ self.key(x).transpose(1, 2) / x.shape[-1] ** 0.5  # (B, n, n)
        edges = (scores.float() + bias).softmax(-1).to(x.dtype)  # softmax in float32
        return nodes + self.dropout(self.out(F.gelu(edges @ self.value(x))))


class FeatureGraph(nn.Module):
    """A stack of graph layers over n local nodes and one context node.

    Args:
        width: of a node.
        layers: graph layers.
        edge_bias: turns what is known of the nodes' places into (n + 1, n + 1) or batched biases.
    """

    def __init__(self, width: int, layers: int, dropout: float, edge_bias: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GraphLayer(width, dropout) for _ in range(layers))
        self.edge_bias = edge_bias

    def forward(
        self, local: Tensor, context: Tensor, mask: Tensor, places: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Local nodes (B, n, d), context (B, d), mask (B, n) to the same, refined.

        Args:
            places: boxes (n, 4) or (B, n, 4) of regions, or positions (B, n) of words; None where
                they are not known: then every edge has the same bias.
        """
        nodes = torch.cat([context[:, None], local], dim=1)  # (B, 1 + n, d)
        real = F.pad(mask, (1, 0), value=True)  # the context is always real
        bias = nodes.new_zeros(1, 1, 1) if places is None else self.edge_bias(places)
        bias = bias.masked_fill(~real[:, None, :], float("-inf"))
        for layer in self.layers:
            nodes = layer(nodes, bias)
        return nodes[:, 1:], nodes[:, 0]


class BoxBias(nn.Module):
    """Edge bias of two regions from their boxes: offset, size ratio, distance. The context's box
    is the whole photo."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) or (B, n, 4), x0 y0 x1 y1 in 0..1, to (1 or B, n + 1, n + 1)."""
        if boxes.dim() == 2:
            boxes = boxes[None]
        whole = boxes.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(boxes), 1, 4)
        boxes = torch.cat([whole, boxes], dim=1)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2  # (B, n, 2)
        # A box of no area would have a size ratio of infinity.
        size = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1e-3)
        offset = centre[:, None] - centre[:, :, None]  # (B, n, n, 2)
        ratio = (size[:, None] / size[:, :, None]).log()
        distance = offset.norm(dim=-1, keepdim=True)
        return self.net(torch.cat([offset, ratio, distance], dim=-1)).squeeze(-1)


class OffsetBias(nn.Module):
    """Edge bias of two words from how far apart they stand, and one each way for the context."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Embedding(2 * MAX_OFFSET + 1, 1)
        self.context = nn.Parameter(torch.zeros(2))
        nn.init.zeros_(self.offset.weight)

    def forward(self, positions: Tensor) -> Tensor:
        """Positions (B, n) of the words to (B, n + 1, n + 1)."""
        offset = (positions[:, None] - positions[:, :, None]).clamp(-MAX_OFFSET, MAX_OFFSET)
        words = self.offset(offset + MAX_OFFSET).squeeze(-1)  # (B, n, n)
        batch, n, _ = words.shape
        to_context = self.context[0].expand(batch, n, 1)
        from_context = self.context[1].expand(batch, 1, n + 1)
        return torch.cat([from_context, torch.cat([to_context, words], dim=2)], dim=1)
