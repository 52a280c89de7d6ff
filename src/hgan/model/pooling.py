"""Pool regions or words to one vector, by the mean or by generalised pooling.

Generalised pooling is a learned weighted sum of the sorted values of each feature (Chen et al.,
*Learning the Best Pooling Strategy for Visual Semantic Embedding*, CVPR 2021, equations 3 to 6).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class MeanPooling(nn.Module):
    """Mean over regions or words, without padding."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool x (B, n, d) with mask (B, n) to (B, d); items with only padding give zeros."""
        real = mask[..., None].to(x.dtype)  # (B, n, 1)
        return (x * real).sum(1) / real.sum(1).clamp_min(1)  # (B, d)


class GeneralisedPooling(nn.Module):
    """Generalised pooling operator (GPO): a small GRU computes a weight for each rank of the
    sorted values; mean and max pooling are special cases."""

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
        """Pool x (B, n, d) with mask (B, n) to (B, d); items with only padding give zeros."""
        n = x.shape[1]
        count = mask.sum(1)  # (B)
        # After sorting, padding is at the end, so that a new mask is needed.
        low = torch.finfo(x.dtype).min
        ranked = x.masked_fill(~mask[..., None], low).sort(dim=1, descending=True).values
        real = torch.arange(n, device=x.device) < count[:, None]  # (B, n)
        ranked = ranked.masked_fill(~real[..., None], 0.0)
        table = self.weights(n) if self.table is None else self.table[:, :n]
        return torch.einsum("bn,bnd->bd", table[count].to(x.dtype), ranked)

    def weights(self, n: int) -> Tensor:
        """Weights of the ranks for each number c of rows without padding, (n + 1, n); weights of
        rank c and higher are zero."""
        if n == 0:
            return self.score.weight.new_zeros(1, 0)
        device = self.score.weight.device
        ranks = torch.arange(n, device=device)
        # The backward direction starts at the last rank, so the GRU runs once for each count;
        # weights then depend only on the count, not on the padding of the batch.
        positions = self._positions(ranks).expand(n, n, -1)
        packed = pack_padded_sequence(positions, torch.arange(1, n + 1), True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=n)
        forward, backward = states.chunk(2, dim=-1)  # (n, n, hidden)
        scores = self.score((forward + backward) / 2).squeeze(-1).float() / self.temperature
        real = ranks <= ranks[:, None]  # (n, n): row c - 1 has c real ranks
        weights = scores.masked_fill(~real, float("-inf")).softmax(-1)
        return torch.cat([weights.new_zeros(1, n), weights])

    def freeze(self, n: int) -> None:
        """Store the weights for up to n rows in a table, so that the exported network needs no
        GRU."""
        with torch.no_grad():
            self.table = self.weights(n)

    def _positions(self, ranks: Tensor) -> Tensor:
        """Sinusoidal encodings of ranks, (n, position_width)."""
        half = torch.arange(0, self.position_width, 2, device=ranks.device)
        angle = ranks[:, None] * torch.exp(-math.log(10000.0) * half / self.position_width)
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
