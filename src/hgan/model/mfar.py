"""MFAR, multi-granularity feature aggregation and rearrangement: equations 5 to 9 of docs/model.md.

Both modalities use the same parameters, so that their slots are in one shared space. Shapes: B
photos or sentences, n regions or words; d, D, D_s and K are defined in `HGANConfig`.
"""

import torch
from torch import Tensor, nn

from hgan.model.layers import LOW


class Aggregation(nn.Module):
    """Bottom-up attention from the local nodes to the context, then a gated top-down update of the
    nodes. Both output projections start at zero, so that the branches start independent."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_local = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(2 * width, width)
        self.down = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, local: Tensor, context: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Update local nodes (B, n, d) and the context (B, d); mask (B, n)."""
        x, c = self.norm_local(local), self.norm_context(context)  # (B, n, d), (B, d)
        scores = (self.key(x) @ self.query(c)[..., None]).squeeze(-1) / x.shape[-1] ** 0.5  # (B, n)
        scores = scores.float().masked_fill(~mask, LOW)
        attention = (scores.softmax(-1) * mask).to(x.dtype)  # (5): zero if all nodes are padding
        gathered = context + self.up((attention[:, None] @ x).squeeze(1))  # (6): (B, d)
        g = self.norm_context(gathered)[:, None].expand_as(x)  # (B, n, d)
        gate = torch.sigmoid(self.gate(torch.cat([x, g], dim=-1)))  # (B, n, d)
        return local + gate * self.down(g), gathered  # (7)


class Rearrangement(nn.Module):
    """K learned anchors attend to all nodes, one anchor for each slot. Each slot has its own
    projection: with a shared one, the slots are highly correlated."""

    def __init__(self, width: int, slots: int, slot_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.anchors = nn.Parameter(torch.randn(slots, width))
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Parameter(torch.randn(slots, width, slot_width) / width**0.5)

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Nodes (B, m, D) to slots (B, K, D_s); the mask (B, m) has at least one node per row."""
        z = self.norm(nodes)  # (8): (B, m, D)
        scores = self.anchors @ self.key(z).transpose(1, 2) / z.shape[-1] ** 0.5  # (B, K, m)
        scores = scores.float().masked_fill(~mask[:, None], float("-inf"))
        gathered = scores.softmax(-1).to(z.dtype) @ z  # (B, K, D)
        return torch.einsum("bkd,kds->bks", gathered, self.value.to(z.dtype))  # (9)
