"""The interface of vision backbones: from pixels to region features and the context."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.runtime.preprocessing import Preprocessing


class Regions(NamedTuple):
    """Features of a batch of photos."""

    regions: Tensor
    """(B, R, D_v)"""
    context: Tensor
    """(B, D_v): features of the whole photo; (B, P) if it is its embedding by a dual encoder"""
    maps: Tensor | None = None
    """(B, C, h, w): input of the blocks that are trained, if there are any"""


class Classifier(NamedTuple):
    """The layer that recognises classes in a backbone's features, and the names of the classes."""

    weight: Tensor
    """(C, D_v)"""
    bias: Tensor
    """(C)"""
    names: list[str]
    """(C) names of the classes"""


class Blocks(nn.Module):
    """The last blocks of a backbone, to be trained: from their input to region features."""

    def __init__(self, blocks: nn.Module, grid: int) -> None:
        super().__init__()
        # On CPUs, convolutions are up to twice as fast with the channels last.
        self.blocks, self.grid = blocks, grid
        blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, maps: Tensor) -> Regions:
        """Region features of maps (B, C, h, w); before training, those of the frozen backbone."""
        return pool(self.blocks(maps.contiguous(memory_format=torch.channels_last)), self.grid)


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
    context_width: int = 0
    """P, width of the context if it is the embedding of a dual encoder; 0 if it is a mean of
    features."""
    own_preprocessing: Preprocessing | None = None
    """How photos are prepared, if not by squashing them to a square."""
    trained_blocks: int = 0
    """Number of last blocks that a matcher trains; their input is returned as `Regions.maps`."""
    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Set the mean and standard deviation of each channel for normalising pixels (0..255)."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def preprocessing(self) -> Preprocessing:
        """How photos are prepared."""
        return self.own_preprocessing or Preprocessing(self.size)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalise pixels (B, size, size, 3) uint8, (B, 3, size, size)."""
        x = pixels.permute(0, 3, 1, 2).to(self.mean.dtype)
        return (x - self.mean) / self.std

    def feature_map(self, pixels: Tensor) -> Tensor:
        """Compute a feature map (B, D_v, h, w) from normalised pixels (B, 3, size, size)."""
        raise NotImplementedError

    def classifier(self) -> Classifier | None:
        """The classifier that this backbone was trained with; None if it has none, or none with
        a name for each class."""
        return None

    def split(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the input (B, C, h, w) of the last `trained_blocks` blocks, and the feature map,
        from normalised pixels (B, 3, size, size)."""
        raise NotImplementedError

    def blocks(self) -> Blocks:
        """A copy of the last `trained_blocks` blocks, to be trained."""
        raise NotImplementedError

    def forward(self, pixels: Tensor) -> Regions:
        """Compute features of photos (B, size, size, 3) uint8; regions are in row-major order."""
        x = self.normalise(pixels)
        if not self.trained_blocks:
            return pool(self.feature_map(x), self.grid)
        maps, feature_map = self.split(x)
        return pool(feature_map, self.grid)._replace(maps=maps)


def pool(feature_map: Tensor, grid: int) -> Regions:
    """Means of a feature map (B, D_v, h, w) over the cells of a grid, and over the whole photo."""
    cells = F.adaptive_avg_pool2d(feature_map, grid)  # (B, D_v, grid, grid)
    return Regions(cells.flatten(2).transpose(1, 2), feature_map.mean((2, 3)))


def grid_boxes(grid: int) -> np.ndarray:
    """Boxes of grid cells, (grid * grid, 4) float32, x0 y0 x1 y1 in 0..1, in row-major order."""
    edges = np.arange(grid, dtype=np.float32) / grid
    y, x = np.meshgrid(edges, edges, indexing="ij")
    boxes = np.stack([x, y, x + 1 / grid, y + 1 / grid], axis=-1)
    return boxes.reshape(-1, 4).astype(np.float32)
