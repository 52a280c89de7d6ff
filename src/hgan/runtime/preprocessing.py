"""From a photo to the square of pixels that a model reads.

Models normalise the values themselves, so that pixels need little memory.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from hgan.errors import DataError
from hgan.runtime.images import PhotoSource, read_photo
from hgan.runtime.ranges import check_choice, check_integer

Fit = Literal["squash", "crop"]
"""What a model reads of a photo: all of it, without keeping the aspect ratio; or the square in the
middle."""
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
"""Pillow's filters for resizing."""

MAX_SIZE = 4096
"""Maximum side of a square; a larger one is a mistake, and would need too much memory."""
MAX_SCALE = 16
"""Maximum of `Preprocessing.scale`."""
_LONG = 8
"""Photos that are longer than this multiple of their shorter side are cropped before `crop` resizes
them; the longest ones would need gigabytes otherwise."""


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its photos.

    Raises:
        ValueError: a field has a wrong type, or is out of range.
    """

    size: int
    """Side of the square in pixels."""
    fit: Fit = "squash"
    filter: Filter = "bicubic"
    shorter_side: int | None = None
    """For `crop`: length of a photo's shorter side before it is cropped, at least `size`."""
    scale: int = 2
    """A larger photo is decoded at a smaller scale first, to at least this multiple of the side to
    which it will be resized. The larger, the closer to resizing the whole photo, and the slower."""

    def __post_init__(self) -> None:
        check_integer("size", self.size, 1, MAX_SIZE)
        check_choice("fit", self.fit, get_args(Fit))
        check_choice("filter", self.filter, get_args(Filter))
        check_integer("scale", self.scale, 2, MAX_SCALE)
        if self.fit == "crop":
            check_integer("shorter_side", self.shorter_side, self.size, MAX_SIZE)
        elif self.shorter_side is not None:
            raise ValueError(f"shorter_side is not for fit: {self.fit}")

    @property
    def hint(self) -> int:
        """Size for `open_photo`, which decodes a larger photo to at least twice this size."""
        return -(-self.scale * (self.shorter_side or self.size) // 2)

    def read(self, photo: PhotoSource) -> np.ndarray:
        """The pixels of a photo in any supported form, see `pixels`.

        Raises:
            DataError: the photo cannot be read, or the argument is not a photo.
        """
        return self.pixels(read_photo(photo, hint=self.hint))

    def pixels(self, photo: Image.Image) -> np.ndarray:
        """The pixels of an RGB photo, (size, size, 3) uint8."""
        resample = Image.Resampling[self.filter.upper()]
        if self.shorter_side is not None:
            return np.asarray(self._middle(photo, self.shorter_side, resample))
        return np.asarray(photo.resize((self.size, self.size), resample))

    def sample(self) -> np.ndarray:
        """The pixels of a photo of random blocks, always the same, to compare two models."""
        blocks = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
        return self.pixels(Image.fromarray(blocks).resize((2 * self.size, 2 * self.size)))

    def places(self, boxes: list[list[float]], photo: Image.Image) -> list[list[float]]:
        """Boxes (R, 4) in 0..1 of the square, as boxes in 0..1 of a photo, of which the square may
        be only the middle."""
        if self.shorter_side is None:
            return boxes
        across, down, left, top = self._crop(photo, self.shorter_side)
        offset, scale = np.array([left, top] * 2), np.array([across, down] * 2)
        found: list[list[float]] = ((np.array(boxes) * self.size + offset) / scale).tolist()
        return found

    def blank(self) -> np.ndarray:
        """The pixels of a black photo, to load a model."""
        return np.zeros((self.size, self.size, 3), np.uint8)

    def check(self, pixels: object) -> None:
        """Check that a photo has been decoded and resized.

        Raises:
            DataError: it has not; use `Model.encode_image` for it.
        """
        wanted, found = (self.size, self.size, 3), type(pixels).__name__
        if isinstance(pixels, np.ndarray):
            if pixels.dtype == np.uint8 and pixels.shape == wanted:
                return
            found = f"{pixels.dtype} {pixels.shape}"
        raise DataError(
            f"encode_images takes uint8 arrays {wanted}, not {found}; encode_image takes files, "
            "images and arrays of any size"
        )

    def _crop(self, photo: Image.Image, shorter: int) -> tuple[int, int, int, int]:
        """Width and height of a photo whose shorter side is resized to `shorter`, and left and top
        of its middle square."""
        width, height = photo.size
        longer = int(shorter * max(width, height) / min(width, height))
        across, down = (shorter, longer) if width < height else (longer, shorter)
        return across, down, (across - self.size) // 2, (down - self.size) // 2

    def _middle(self, photo: Image.Image, shorter: int, resample: Image.Resampling) -> Image.Image:
        """The middle square of a photo whose shorter side is resized to `shorter`."""
        across, down, left, top = self._crop(photo, shorter)
        middle = left, top, left + self.size, top + self.size
        if max(across, down) <= _LONG * shorter:
            return photo.resize((across, down), resample).crop(middle)
        # The same, but for rounding: Pillow has the corners of a box in single precision.
        (width, height), x, y = photo.size, photo.width / across, photo.height / down
        box = left * x, top * y, min(middle[2] * x, width), min(middle[3] * y, height)
        return photo.resize((self.size, self.size), resample, box=box)
