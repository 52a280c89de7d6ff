"""Mosaics: train the local level to point at the right place (equations 25 and 26 of docs/model.md).

Four photos of a batch become the quarters of one photo, in feature space, and each word and each
caption has to find its quarter. Without it, nothing keeps the features of a region at the region:
the backbone's receptive fields, the feature graph and MFAR all carry them to other regions.
Shapes: M mosaics of a batch of B photos, M = B // 4; T captions, W words, R regions of a grid.
"""

from dataclasses import replace
from math import isqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.data.batches.types import ImageBatch
from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.vision.backbone import grid_boxes

TEMPERATURE = 0.05
"""Temperature of the softmax over the quarters of a mosaic."""


def check_grid(boxes: np.ndarray | None) -> None:
    """Check that regions with these boxes can be those of a mosaic.

    Raises:
        ConfigError: the regions are not the cells of a grid with an even number of rows.
    """
    rows = 0 if boxes is None else isqrt(len(boxes))
    if (
        boxes is None
        or rows % 2
        or rows**2 != len(boxes)
        or not np.allclose(boxes, grid_boxes(rows), atol=1e-5)
    ):
        raise ConfigError(
            "optim.mosaics: mosaics need regions that are the cells of a grid with an even number "
            "of rows, such as vision.grid 6; set optim.mosaics to 0 for these features"
        )


def make_mosaics(batch: ImageBatch) -> ImageBatch:
    """Photos 4m to 4m + 3 as the quarters of mosaic m, row by row; at most three photos are left
    over. Each quarter is a whole photo at half its size."""
    count = len(batch.regions) // 4
    return replace(
        batch,
        regions=_regions(batch.regions),
        context=batch.context[: 4 * count].unflatten(0, (count, 4)).mean(1),
        mask=torch.ones_like(batch.mask[:count]),
        maps=None if batch.maps is None else _halved(batch.maps),
    )


def mosaic_loss(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: Tensor) -> Tensor:
    """Cross-entropy of the quarter that words and captions find, a scalar.

    Args:
        images: M mosaics.
        texts: T captions.
        image_of: (T) the photo of each caption.
    """
    whole = image_of < 4 * len(images.mask)  # captions of photos in mosaics
    words, owner = texts.local[whole], image_of[whole]  # (T, W, D_l), (T)
    real = texts.mask[whole]  # (T, W)
    scores = words @ images.local[owner // 4].transpose(1, 2)  # (T, W, R)
    captions = scores.sum(1) / real.sum(1)[:, None].clamp_min(1)  # (T, R)
    target = owner % 4
    of_words = target[:, None].expand_as(real)[real]  # (P)
    return (_pointing(captions, target) + _pointing(scores[real], of_words)) / 2


def _pointing(scores: Tensor, quarter: Tensor) -> Tensor:
    """Cross-entropy (25), (26) of scores (P, R) of regions for the right quarter (P)."""
    side = isqrt(scores.shape[1])
    best = F.adaptive_max_pool2d(scores.view(-1, 1, side, side), 2).flatten(1)  # (P, 4)
    return F.cross_entropy(best / TEMPERATURE, quarter)


def _regions(regions: Tensor) -> Tensor:
    """Regions (B, R, D) of photos to those of mosaics, (M, R, D)."""
    side = isqrt(regions.shape[1])
    grid = regions.transpose(1, 2).unflatten(2, (side, side))  # (B, D, side, side)
    return _halved(grid).flatten(2).transpose(1, 2)


def _halved(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) of photos to those of mosaics, (M, C, h, w)."""
    count, (height, width) = len(maps) // 4, maps.shape[2:]
    quarters = maps[: 4 * count].unflatten(0, (count, 2, 2))  # (M, 2, 2, C, h, w)
    tiled = quarters.permute(0, 3, 1, 4, 2, 5).reshape(count, -1, 2 * height, 2 * width)
    return F.adaptive_avg_pool2d(tiled, (height, width))
