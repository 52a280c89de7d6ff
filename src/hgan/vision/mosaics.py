"""Mosaics as photos: four photos as the quarters of one."""

from collections.abc import Sequence

from PIL import Image

from hgan.runtime.preprocessing import Preprocessing


def make_mosaic(photos: Sequence[Image.Image], side: int) -> Image.Image:
    """Four photos, row by row, each resized to a square of this side, as one photo."""
    mosaic = Image.new("RGB", (2 * side, 2 * side))
    for quarter, photo in enumerate(photos):
        place = quarter % 2 * side, quarter // 2 * side
        mosaic.paste(Image.fromarray(Preprocessing(side).pixels(photo)), place)
    return mosaic
