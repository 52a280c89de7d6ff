"""VSE-infinity: learned pooling of regions and words.

Chen et al., *Learning the Best Pooling Strategy for Visual Semantic Embedding*, CVPR 2021: the
values of each feature are sorted and summed with learned weights (equations 3 to 6, implemented in
`hgan.model.pooling`). Two settings are the authors' code, not the paper's equations: a network of
two layers beside the linear layer over regions, and end markers that count as words.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from hgan.model.baselines.baseline import BaselineConfig
from hgan.model.baselines.mean_pooling import Mean
from hgan.model.matcher import MATCHERS
from hgan.model.pooling import GeneralisedPooling
from hgan.model.prior import Prior
from hgan.text.encoder import TextEncoder, TokenStates


@dataclass
class VSEInfinityConfig(BaselineConfig):
    """Settings of VSE-infinity."""

    name: Literal["vse_infinity"] = "vse_infinity"
    """Name of the matcher; the other keys depend on it."""
    residual: bool = False
    """Add a network of two layers to the linear layer over regions, as the authors' code does."""
    end_tokens: bool = False
    """Pool the start and end tokens too, as the authors' code does."""


class TwoLayers(nn.Module):
    """Linear, batch norm, ReLU, linear; the hidden layer is half as wide as the output."""

    def __init__(self, source_width: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(source_width, width // 2)
        self.norm = nn.BatchNorm1d(width // 2)
        self.out = nn.Linear(width // 2, width)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Project rows (B, n, D_v) to (B, n, D). In training, batch statistics are those of the
        rows in the mask (B, n); rows outside it give zeros. In evaluation, running statistics are
        used, so that no row depends on another."""
        if not self.training:
            hidden = self.hidden(rows)
            normal = self.norm(hidden.flatten(0, 1)).view_as(hidden)
            return self.out(torch.relu(normal))
        found = self.out(torch.relu(self.norm(self.hidden(rows[mask]))))
        return found.new_zeros(*mask.shape, found.shape[-1]).masked_scatter(mask[..., None], found)


@MATCHERS.register
class VSEInfinity(Mean):
    """Generalised pooling and cosine similarity; its own level is `context`."""

    Config = VSEInfinityConfig
    title = "VSE-infinity"
    source = "Generalised pooling (Chen et al., CVPR 2021; arXiv 2011.04305)."
    pooling = GeneralisedPooling
    config: VSEInfinityConfig

    def __init__(
        self,
        config: VSEInfinityConfig,
        image_width: int,
        text: TextEncoder,
        prior: Prior | None = None,
    ) -> None:
        super().__init__(config, image_width, text, prior)
        seen, _ = self.row_widths
        self.residual = TwoLayers(seen, config.width) if config.residual else None

    def regions(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Project features of regions (B, n, D_v) with mask (B, n) to (B, n, D)."""
        if self.residual is None:
            return self.project_regions(rows)
        *before, linear = self.project_regions
        for layer in before:
            rows = layer(rows)
        return linear(rows) + self.residual(rows, mask)

    def choose_words(self, token: TokenStates, mask: Tensor) -> TokenStates:
        """All tokens, if the settings ask for the start and end tokens too."""
        return token._replace(words=mask.bool()) if self.config.end_tokens else token

    def describe_parts(self) -> dict[str, str]:
        """How regions and words are pooled."""
        return {"pooling": "generalised"}
