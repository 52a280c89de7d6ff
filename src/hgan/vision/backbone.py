"""The interface of vision backbones: from pixels to region features and the context."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Regions(NamedTuple):
    """Features of a batch of photos."""

    regions: Tensor
    """(B, R, D_v)"""
    context: Tensor
    """(B, D_v): features of the whole photo"""


class Backbone(nn.Module):
    """A frozen network that computes a grid of region features from uint8 photos.

    Subclasses set the attributes below and implement `feature_map`. Pixels are normalised inside
    the network, so that the input of an exported backbone is decoded photos.
    """

    name: str
    """Name of the weights and architecture, which is stored in the manifest of a feature store."""
    size: int
    """Side of the square input photos in pixels."""
    width: int
    """D_v, width of the features."""
    grid: int
    """Number of regions along each side; R = grid * grid."""
    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Set the mean and standard deviation of each channel for normalising pixels (0..255)."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def feature_map(self, pixels: Tensor) -> Tensor:
        """Compute a feature map (B, D_v, h, w) from normalised pixels (B, 3, size, size)."""
        raise NotImplementedError

    def forward(self, pixels: Tensor) -> Regions:
        """Compute features of photos (B, size, size, 3) uint8; regions are in row-major order."""
        x = pixels.permute(0, 3, 1, 2).to(self.mean.dtype)
        feature_map = self.feature_map((x - self.mean) / self.std)  # (B, D_v, h, w)
        context = feature_map.mean((2, 3))  # (B, D_v)
        cells = F.adaptive_avg_pool2d(feature_map, self.grid)  # (B, D_v, grid, grid)
        return Regions(cells.flatten(2).transpose(1, 2), context)


def grid_boxes(grid: int) -> np.ndarray:
    """Boxes of grid cells, (grid * grid, 4) float32, x0 y0 x1 y1 in 0..1, in row-major order."""
    edges = np.arange(grid, dtype=np.float32) / grid
    y, x = np.meshgrid(edges, edges, indexing="ij")
    boxes = np.stack([x, y, x + 1 / grid, y + 1 / grid], axis=-1)
    return boxes.reshape(-1, 4).astype(np.float32)
