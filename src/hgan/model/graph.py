"""Feature graphs: graph convolution over regions or words and their context, with learned edges.

Equations are numbered as in docs/model.md. Shapes: B photos or sentences, n regions or words, d the
width of a node.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.model.layers import FeatureDropout

MAX_OFFSET = 8
"""Word distances are clipped to this value."""


class GraphLayer(nn.Module):
    """One graph convolution over learned edges, after VSRN (Li et al., ICCV 2019). Its output
    projection is initialised to zero, so that the layer starts as the identity."""

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
        """Nodes (B, n, d) and edge bias (n, n) or (B, n, n), minus infinity for padded nodes."""
        x = self.norm(nodes)  # (B, n, d)
        scores = self.query(x) @ self.key(x).transpose(1, 2) / x.shape[-1] ** 0.5  # (B, n, n)
        edges = (scores.float() + bias).softmax(-1).to(x.dtype)  # (3): (B, n, n), in float32
        return nodes + self.dropout(self.out(F.gelu(edges @ self.value(x))))  # (4): (B, n, d)


class FeatureGraph(nn.Module):
    """A stack of graph layers over n local nodes and one context node; `edge_bias` computes the
    biases of the edges from the nodes' positions."""

    def __init__(self, width: int, layers: int, dropout: float, edge_bias: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GraphLayer(width, dropout) for _ in range(layers))
        self.edge_bias = edge_bias

    def forward(
        self, local: Tensor, context: Tensor, mask: Tensor, positions: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Local nodes (B, n, d), context (B, d) and mask (B, n) to (B, n, d) and (B, d). Positions
        are boxes (n, 4) or (B, n, 4), or word positions (B, n); None if they are unknown."""
        nodes = torch.cat([context[:, None], local], dim=1)  # (B, 1 + n, d)
        real = F.pad(mask, (1, 0), value=True)  # (B, 1 + n): the context is never padding
        bias = nodes.new_zeros(1, 1, 1) if positions is None else self.edge_bias(positions)
        bias = bias.masked_fill(~real[:, None, :], float("-inf"))  # (B, 1 + n, 1 + n)
        for layer in self.layers:
            nodes = layer(nodes, bias)
        return nodes[:, 1:], nodes[:, 0]


class BoxBias(nn.Module):
    """Edge bias computed from the boxes of two regions, after GSMN (Liu et al., CVPR 2020). The
    box of the context is the whole photo."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) or (B, n, 4), x0 y0 x1 y1 in 0..1, to (1 or B, n + 1, n + 1)."""
        if boxes.dim() == 2:
            boxes = boxes[None]
        whole = boxes.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(boxes), 1, 4)
        boxes = torch.cat([whole, boxes], dim=1)  # (B, n + 1, 4)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2  # (B, n + 1, 2)
        # Without the lower bound, the size ratio of an empty box would be infinite.
        size = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1e-3)  # (B, n + 1, 2)
        offset = centre[:, None] - centre[:, :, None]  # (B, n + 1, n + 1, 2)
        ratio = (size[:, None] / size[:, :, None]).log()  # (B, n + 1, n + 1, 2)
        distance = offset.norm(dim=-1, keepdim=True)  # (B, n + 1, n + 1, 1)
        return self.net(torch.cat([offset, ratio, distance], dim=-1)).squeeze(-1)


class OffsetBias(nn.Module):
    """Edge bias learned for each distance of two words, and for edges to and from the context."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Embedding(2 * MAX_OFFSET + 1, 1)
        self.context = nn.Parameter(torch.zeros(2))
        nn.init.zeros_(self.offset.weight)

    def forward(self, positions: Tensor) -> Tensor:
        """Positions (B, n) of words to (B, n + 1, n + 1)."""
        offset = (positions[:, None] - positions[:, :, None]).clamp(-MAX_OFFSET, MAX_OFFSET)
        words = self.offset(offset + MAX_OFFSET).squeeze(-1)  # (B, n, n)
        to_context = self.context[0].expand(*words.shape[:2], 1)  # (B, n, 1)
        from_context = self.context[1].expand(words.shape[0], 1, words.shape[1] + 1)
        return torch.cat([from_context, torch.cat([to_context, words], dim=2)], dim=1)
