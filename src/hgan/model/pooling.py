"""Pool regions or words to one vector: by the mean, or by a learned weighted sum of each feature's
sorted values (Chen et al., *Learning the Best Pooling Strategy for Visual Semantic Embedding*, CVPR
2021, equations 3 to 6).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class MeanPooling(nn.Module):
    """The mean of the real rows."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool x (B, n, d) over its real rows, mask (B, n); a row without any gives zeros."""
        real = mask[..., None].to(x.dtype)  # (B, n, 1)
        return (x * real).sum(1) / real.sum(1).clamp_min(1)  # (B, d)


class GeneralisedPooling(nn.Module):
    """GPO: mean, max and everything between, by weights that a small GRU gives to each rank."""

    table: Tensor | None

    def __init__(
        self, position_width: int = 32, hidden: int = 32, temperature: float = 0.1
    ) -> None:
        super().__init__()
        self.position_width = position_width
        self.temperature = temperature
        self.gru = nn.GRU(position_width, hidden, batch_first=True, bidirectional=True)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.register_buffer("table", None, persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool x (B, n, d) over its real rows, mask (B, n); a row without any gives zeros."""
        n = x.shape[1]
        count = mask.sum(1)  # (B)
        # After sorting, the real values stand first: a new mask fits the sorted order.
        low = torch.finfo(x.dtype).min
        ranked = x.masked_fill(~mask[..., None], low).sort(dim=1, descending=True).values
        real = torch.arange(n, device=x.device) < count[:, None]  # (B, n)
        ranked = ranked.masked_fill(~real[..., None], 0.0)
        table = self.weights(n) if self.table is None else self.table[:, :n]
        return torch.einsum("bn,bnd->bd", table[count].to(x.dtype), ranked)

    def weights(self, n: int) -> Tensor:
        """Weights of the ranks for every count c of real rows, (n + 1, n); zero from rank c on."""
        if n == 0:
            return self.score.weight.new_zeros(1, 0)
        device = self.score.weight.device
        ranks = torch.arange(n, device=device)
        # The backward direction starts at the last real rank, so each count has its own run;
        # a weight then depends on the count alone, never on how far a batch is padded.
        positions = self._positions(ranks).expand(n, n, -1)
        packed = pack_padded_sequence(positions, torch.arange(1, n + 1), True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=n)
        forward, backward = states.chunk(2, dim=-1)  # (n, n, hidden)
        scores = self.score((forward + backward) / 2).squeeze(-1).float() / self.temperature
        real = ranks <= ranks[:, None]  # (n, n): row c - 1 has c real ranks
        weights = scores.masked_fill(~real, float("-inf")).softmax(-1)
        return torch.cat([weights.new_zeros(1, n), weights])

    def freeze(self, n: int) -> None:
        """Keep the weights of up to n rows as a table, for an exported network without a GRU."""
        with torch.no_grad():
            self.table = self.weights(n)

    def _positions(self, ranks: Tensor) -> Tensor:
        """Sinusoidal encodings of ranks, (n, position_width)."""
        half = torch.arange(0, self.position_width, 2, device=ranks.device)
        angle = ranks[:, None] * torch.exp(-math.log(10000.0) * half / self.position_width)
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
