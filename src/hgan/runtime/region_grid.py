"""Average neighbouring regions, so that an index has fewer local vectors per photo.

Local vectors need most of the space of an index. Neighbouring regions show nearly the same, so the
direction of their mean loses little information: blocks of 2 x 2 on a grid of 6 x 6 leave 9 of 36
vectors. Context and slots do not change.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt

import numpy as np

from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.runtime.bundle import Bundle
from hgan.runtime.model import IMAGE_BATCH, TEXT_BATCH


class PooledBundle(Bundle):
    """A bundle whose photos have fewer regions; texts do not change."""

    def __init__(self, bundle: Bundle, regions: int) -> None:
        """Wrap a bundle.

        Args:
            bundle: the model.
            regions: number of regions per photo, the square of a divisor of the grid's side.

        Raises:
            ConfigError: the bundle's grid cannot be divided into this many blocks.
        """
        side, grid = isqrt(max(regions, 0)), bundle.config.grid
        if side == 0 or side**2 != regions or grid % side:
            possible = [str(n * n) for n in range(1, grid + 1) if grid % n == 0]
            raise ConfigError(
                f"regions cannot be {regions}: the model's {grid} x {grid} regions can be pooled to"
                f" {', '.join(possible)}"
            )
        boxes = _blocks(np.array(bundle.config.boxes), grid, side)  # (R', B, 4)
        corners = np.concatenate([boxes[..., :2].min(axis=1), boxes[..., 2:].max(axis=1)], axis=1)
        config = replace(bundle.config, grid=side, boxes=corners.tolist())
        super().__init__(bundle.folder, config, bundle.id)
        self._bundle = bundle
        self._grid = grid

    def encode_images(
        self, pixels: Sequence[np.ndarray] | np.ndarray, batch_size: int = IMAGE_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode photos; see `Bundle.encode_images`."""
        encoded = self._bundle.encode_images(pixels, batch_size)
        local = pool_regions(encoded.local, self._grid, self.config.grid)
        mask = np.ones(local.shape[:2], np.bool_)
        return Encoded(encoded.context, encoded.slots, local, mask)

    def encode_texts(
        self, texts: Sequence[str], batch_size: int = TEXT_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode texts; see `Bundle.encode_texts`."""
        return self._bundle.encode_texts(texts, batch_size)

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Start and end of each token's word in a text."""
        return self._bundle.words(text)


def pooled(bundle: Bundle, regions: int | None) -> Bundle:
    """The bundle with this number of regions per photo; None keeps all regions of the model.

    Raises:
        ConfigError: the bundle's grid cannot be divided into this many blocks.
    """
    if regions is None or regions == len(bundle.config.boxes):
        return bundle
    return PooledBundle(bundle, regions)


def pool_regions(local: np.ndarray, grid: int, side: int) -> np.ndarray:
    """Average the vectors of blocks of neighbouring regions.

    Args:
        local: (N, grid * grid, D_l), row by row.
        grid: regions per side.
        side: regions per side of the result, a divisor of `grid`.

    Returns:
        (N, side * side, D_l): the means, scaled to the mean length of their regions: to unit length
        where regions have unit length, and less where a model's regions are shorter.
    """
    if not local.shape[2]:  # a model without the local level
        return local[:, : side * side]
    blocks = _blocks(local.astype(np.float32).transpose(1, 0, 2), grid, side)  # (R', B, N, D_l)
    means = blocks.mean(axis=1)  # (R', N, D_l)
    unit = means / np.maximum(_lengths(means), np.finfo(np.float32).tiny)
    return np.ascontiguousarray((unit * _lengths(blocks).mean(axis=1)).transpose(1, 0, 2))


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=-1, keepdims=True)


def _blocks(regions: np.ndarray, grid: int, side: int) -> np.ndarray:
    """Group regions into blocks: (grid * grid, ...) to (side * side, regions per block, ...)."""
    block, rest = grid // side, regions.shape[1:]
    cells = regions.reshape(side, block, side, block, *rest).swapaxes(1, 2)
    return cells.reshape(side * side, block * block, *rest)
