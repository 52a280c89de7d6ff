"""MFAR: multi-granularity feature aggregation and rearrangement.

Aggregation carries information between the local nodes and the context, both ways; rearrangement
lays all of it out in slots that mean the same for photos and sentences. One set of parameters
serves both modalities: that is what makes the space shared. The module is the paper's; its
equations are our reading (docs/model.md).
"""

import torch
from torch import Tensor, nn


class Aggregation(nn.Module):
    """Bottom-up, the context gathers the nodes it attends to; top-down, a gate lets it back in.

    Both outputs start at zero, so that the branches begin apart and exchange only what helps.
    """

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
        """Local nodes (B, n, d), context (B, d), mask (B, n) to the same shapes."""
        x, c = self.norm_local(local), self.norm_context(context)
        scores = (self.key(x) @ self.query(c)[..., None]).squeeze(-1) / x.shape[-1] ** 0.5  # (B, n)
        scores = scores.float().masked_fill(~mask, torch.finfo(torch.float32).min)
        attention = (scores.softmax(-1) * mask).to(x.dtype)  # all zero where no node is real
        gathered = context + self.up((attention[:, None] @ x).squeeze(1))  # (B, d)
        g = self.norm_context(gathered)[:, None].expand_as(x)
        gate = torch.sigmoid(self.gate(torch.cat([x, g], dim=-1)))
        return local + gate * self.down(g), gathered


class Rearrangement(nn.Module):
    """K learned anchors softly assign all nodes to K slots, in anchor order.

    Each slot reads what it gathers through a projection of its own: slots that share one hold the
    same features K times, weighted a little differently.
    """

    def __init__(self, width: int, slots: int, slot_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.anchors = nn.Parameter(torch.randn(slots, width))
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Parameter(torch.randn(slots, width, slot_width) / width**0.5)

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Nodes (B, m, d) with mask (B, m), at least one real, to slots (B, K, D_s)."""
        z = self.norm(nodes)
        scores = self.anchors @ self.key(z).transpose(1, 2) / z.shape[-1] ** 0.5  # (B, K, m)
        scores = scores.float().masked_fill(~mask[:, None], float("-inf"))
        gathered = scores.softmax(-1).to(z.dtype) @ z  # (B, K, d)
        return torch.einsum("bkd,kds->bks", gathered, self.value.to(z.dtype))
