"""Dropout of whole features, the regulariser of all of HGAN's layers."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class FeatureDropout(nn.Module):
    """Dropout that takes a feature from all regions or words of an item at once.

    Region features of one photo are much alike: dropped one by one, the neighbours give them away.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, d) or (B, d) to the same."""
        if not self.training or self.chance == 0:
            return x
        shape = (x.shape[0], *[1] * (x.dim() - 2), x.shape[-1])
        return x * F.dropout(x.new_ones(shape), self.chance)
