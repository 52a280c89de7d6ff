"""Mosaics as photos: four photos as the quarters of one."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from hgan.data.features.mosaics import quarters
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing


def open_row(folder: Path, key: str, size: int) -> Image.Image:
    """The photo of a row of features, or its mosaic.

    Args:
        folder: the folder of the photos.
        key: path of a photo in it, or the id of a mosaic, see `hgan.data.features.mosaics`.
        size: side of the backbone's input in pixels.

    Raises:
        DataError: a photo cannot be read.
    """
    found = [open_photo(folder / name) for name in quarters(key)]
    return found[0] if len(found) == 1 else make_mosaic(found, (size + 1) // 2)


def make_mosaic(photos: Sequence[Image.Image], side: int) -> Image.Image:
    """Four photos, row by row, each resized to a square of this side, as one photo."""
    mosaic = Image.new("RGB", (2 * side, 2 * side))
    for quarter, photo in enumerate(photos):
        place = quarter % 2 * side, quarter // 2 * side
        mosaic.paste(Image.fromarray(Preprocessing(side).pixels(photo)), place)
    return mosaic
