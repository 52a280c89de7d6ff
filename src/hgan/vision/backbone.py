"""The interface of vision backbones: from pixels to region features and the context."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from hgan.errors import ConfigError
from hgan.runtime.preprocessing import Preprocessing


class Regions(NamedTuple):
    """Features of a batch of photos."""

    regions: Tensor
    """(B, R, D_v)"""
    context: Tensor
    """(B, D_v): features of the whole photo; (B, P) if it is its embedding by a dual encoder"""
    maps: Tensor | None = None
    """Input of the layers that are trained, if there are any: (B, C, h, w) of a convolutional
    network, (B, tokens, D) of a transformer, the photos (B, size, size, 3) if all are trained"""


class Classifier(NamedTuple):
    """The layer that recognises classes in a backbone's features, and the names of the classes."""

    weight: Tensor
    """(C, D_v)"""
    bias: Tensor
    """(C)"""
    names: list[str]
    """(C) names of the classes"""


class Normalise(nn.Module):
    """Normalises pixels by the mean and standard deviation of each channel (0..255)."""

    mean: Tensor  # (1, 3, 1, 1)
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise pixels (B, size, size, 3) uint8, (B, 3, size, size)."""
        x = pixels.permute(0, 3, 1, 2).to(self.mean.dtype)
        return (x - self.mean) / self.std


class GridPool(nn.Module):
    """The region features of a feature map."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, feature_map: Tensor) -> Regions:
        """Features of a feature map (B, D_v, h, w)."""
        return pool(feature_map, self.grid)


class Blocks(nn.Module):
    """The layers of a backbone that are trained: from their input to region features.

    Batch normalisation is frozen, and there is no dropout: the layers are always in evaluation
    mode.

    Attributes:
        blocks: the layers, which run one after the other.
        top: makes `Regions` of the output of the last layer.
        checkpointing: whether values within the layers are computed again in the backward pass
            instead of being kept (Chen et al., *Training Deep Nets with Sublinear Memory Cost*,
            2016).
    """

    def __init__(self, blocks: nn.Sequential, top: nn.Module) -> None:
        super().__init__()
        self.blocks, self.top, self.checkpointing = blocks, top, False
        # On CPUs, convolutions are up to twice as fast with the channels last.
        blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def forward(self, maps: Tensor) -> Regions:
        """Region features for the input of the layers, `Regions.maps`; before training, those of
        the frozen backbone."""
        x = maps
        if x.dim() == 4 and x.is_floating_point():
            x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x)
        regions: Regions = self.top(x)
        return regions

    def requires_grad_(self, requires_grad: bool = True) -> "Blocks":
        """Train the layers or not, batch normalisation never."""
        super().requires_grad_(requires_grad)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                for parameter in module.parameters():
                    parameter.requires_grad_(False)
        return self

    def train(self, mode: bool = True) -> "Blocks":
        """Stay in evaluation mode."""
        return super().train(False)


class Backbone(nn.Module):
    """A frozen network that computes a grid of region features from uint8 photos.

    Subclasses set the attributes below and implement `feature_map`; those whose last layers can be
    trained, `lower`, `upper` and `blocks` too. Pixels are normalised inside the network, so that
    the input of an exported backbone is decoded photos.
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
    trainable_layers: int | None = 0
    """Number of last layers that a matcher trains, None for all, 0 for none; their input is
    returned as `Regions.maps`."""
    needs_frozen: bool = True
    """Whether features of the frozen network are needed beside the input of trained layers; they
    are zeros otherwise, to save time."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Set the mean and standard deviation of each channel for normalising pixels (0..255)."""
        super().__init__()
        self.normalise = Normalise(mean, std)

    @property
    def preprocessing(self) -> Preprocessing:
        """How photos are prepared."""
        return self.own_preprocessing or Preprocessing(self.size)

    def feature_map(self, pixels: Tensor) -> Tensor:
        """Compute a feature map (B, D_v, h, w) from normalised pixels (B, 3, size, size)."""
        raise NotImplementedError

    def classifier(self) -> Classifier | None:
        """The classifier that this backbone was trained with; None if it has none, or none with
        a name for each class."""
        return None

    def whole(self, pixels: Tensor) -> Regions:
        """Features by the frozen network, from normalised pixels (B, 3, size, size)."""
        return pool(self.feature_map(pixels), self.grid)

    def lower(self, pixels: Tensor) -> Tensor:
        """The input of the last `trainable_layers` layers, from normalised pixels."""
        raise NotImplementedError

    def upper(self, maps: Tensor) -> Regions:
        """Features by the frozen network, from the input of its last `trainable_layers` layers."""
        raise NotImplementedError

    def blocks(self) -> Blocks:
        """A copy of the layers that are trained."""
        raise NotImplementedError

    def forward(self, pixels: Tensor) -> Regions:
        """Compute features of photos (B, size, size, 3) uint8; regions are in row-major order."""
        if self.trainable_layers == 0:
            return self.whole(self.normalise(pixels))
        every = self.trainable_layers is None
        maps = pixels if every else self.lower(self.normalise(pixels))
        if self.needs_frozen:
            seen = self.whole(self.normalise(pixels)) if every else self.upper(maps)
            return seen._replace(maps=maps)
        zeros = self.normalise.mean.new_zeros(pixels.shape[0], self.grid**2, self.width)
        context = zeros.new_zeros(pixels.shape[0], self.context_width or self.width)
        return Regions(zeros, context, maps)


def pool(feature_map: Tensor, grid: int) -> Regions:
    """Means of a feature map (B, D_v, h, w) over the cells of a grid, and over the whole photo."""
    cells = F.adaptive_avg_pool2d(feature_map, grid)  # (B, D_v, grid, grid)
    return Regions(cells.flatten(2).transpose(1, 2), feature_map.mean((2, 3)))


def check_trainable(name: str, wanted: int | None, layers: int) -> None:
    """Raise `ConfigError` if more layers are to be trained than a backbone has."""
    if wanted is not None and wanted > layers:
        raise ConfigError(
            f"vision.trainable_layers: {wanted}, but {name} has {layers} layers; null trains "
            "everything, also what is before them"
        )


def grid_boxes(grid: int) -> np.ndarray:
    """Boxes of grid cells, (grid * grid, 4) float32, x0 y0 x1 y1 in 0..1, in row-major order."""
    edges = np.arange(grid, dtype=np.float32) / grid
    y, x = np.meshgrid(edges, edges, indexing="ij")
    boxes = np.stack([x, y, x + 1 / grid, y + 1 / grid], axis=-1)
    return boxes.reshape(-1, 4).astype(np.float32)
