"""Fewer local vectors a photo: neighbouring regions of the grid as one, for a smaller index.

The local vectors of a photo are most of its index. A block of neighbouring regions shows nearly the
same thing, so the direction of their mean says nearly as much as all of them: 2 x 2 blocks of a
grid of 6 x 6 leave 9 vectors of 36. The levels of the whole, context and slots, stay as they are.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt

import numpy as np

from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.runtime.bundle import Bundle


class PooledBundle(Bundle):
    """A bundle whose photos have fewer regions; texts are as they were."""

    def __init__(self, bundle: Bundle, regions: int) -> None:
        """Wrap a bundle.

        Args:
            bundle: it encodes.
            regions: how many a photo has, the square of a number that divides the grid's side.

        Raises:
            ConfigError: the bundle's grid cannot be divided into so many blocks.
        """
        side, grid = isqrt(max(regions, 0)), bundle.config.grid
        if side == 0 or side**2 != regions or grid % side:
            possible = [str(n * n) for n in range(1, grid + 1) if grid % n == 0]
            raise ConfigError(
                f"regions cannot be {regions}: the model sees {grid} x {grid} of them, which blocks"
                f" make into {', '.join(possible)}"
            )
        boxes = _blocks(np.array(bundle.config.boxes), grid, side)  # (R', B, 4)
        corners = np.concatenate([boxes[..., :2].min(axis=1), boxes[..., 2:].max(axis=1)], axis=1)
        config = replace(bundle.config, grid=side, boxes=corners.tolist())
        super().__init__(bundle.folder, config, bundle.id)
        self._bundle = bundle
        self._grid = grid

    def encode_images(self, pixels: Sequence[np.ndarray] | np.ndarray) -> Encoded[np.ndarray]:
        """Encode photos; see `Bundle.encode_images`."""
        encoded = self._bundle.encode_images(pixels)
        local = pool_regions(encoded.local, self._grid, self.config.grid)
        mask = np.ones(local.shape[:2], np.bool_)
        return Encoded(encoded.context, encoded.slots, local, mask)

    def encode_texts(self, texts: Sequence[str]) -> Encoded[np.ndarray]:
        """Encode sentences; see `Bundle.encode_texts`."""
        return self._bundle.encode_texts(texts)

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Where each token's word stands in a text."""
        return self._bundle.words(text)


def pooled(bundle: Bundle, regions: int | None) -> Bundle:
    """The bundle with so many regions a photo; None, or as many as it has, changes nothing.

    Raises:
        ConfigError: the bundle's grid cannot be divided into so many blocks.
    """
    if regions is None or regions == len(bundle.config.boxes):
        return bundle
    return PooledBundle(bundle, regions)


def pool_regions(local: np.ndarray, grid: int, side: int) -> np.ndarray:
    """Unit vectors of a grid's regions to those of larger ones.

    Args:
        local: (N, grid * grid, D_l), row by row.
        grid: regions a side.
        side: regions a side of what is returned, a divisor of `grid`.

    Returns:
        (N, side * side, D_l): the directions of the means.
    """
    if not local.shape[2]:  # a model without the local level
        return local[:, : side * side]
    means = _blocks(local.astype(np.float32).transpose(1, 0, 2), grid, side).mean(axis=1)
    lengths = np.linalg.norm(means, axis=-1, keepdims=True)
    unit = means / np.maximum(lengths, np.finfo(np.float32).tiny)
    return np.ascontiguousarray(unit.transpose(1, 0, 2))


def _blocks(regions: np.ndarray, grid: int, side: int) -> np.ndarray:
    """(grid * grid, ...) to (side * side, regions of a block, ...)."""
    block, rest = grid // side, regions.shape[1:]
    cells = regions.reshape(side, block, side, block, *rest).swapaxes(1, 2)
    return cells.reshape(side * side, block * block, *rest)
