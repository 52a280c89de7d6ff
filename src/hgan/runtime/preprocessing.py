"""From a photo to the pixels that a model reads: a square, or as many patches as fit its shape.

Models normalise the values themselves, so that pixels need little memory.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from hgan.errors import DataError
from hgan.runtime.images import PhotoSource, read_photo
from hgan.runtime.ranges import check_choice, check_integer

Fit = Literal["squash", "crop", "patches"]
"""What a model reads of a photo: a square without keeping the aspect ratio; the square in the
middle; or the whole photo with its aspect ratio, cut into square patches."""
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
"""Pillow's filters for resizing."""

MAX_SIZE, MAX_PATCHES = 4096, 4096
"""Maximum side of a square and number of patches; larger ones are a mistake, and would need too
much memory."""
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
    """Side of the square in pixels; for `patches`, that of a square photo."""
    fit: Fit = "squash"
    filter: Filter = "bicubic"
    shorter_side: int | None = None
    """For `crop`: length of a photo's shorter side before it is cropped, at least `size`."""
    patch: int | None = None
    """For `patches`: side of a patch in pixels, a divisor of `size`."""
    patches: int | None = None
    """For `patches`: maximum number of patches of a photo."""

    def __post_init__(self) -> None:
        check_integer("size", self.size, 1, MAX_SIZE)
        check_choice("fit", self.fit, get_args(Fit))
        check_choice("filter", self.filter, get_args(Filter))
        own = {"crop": {"shorter_side"}, "patches": {"patch", "patches"}}.get(self.fit, set())
        for name in {"shorter_side", "patch", "patches"} - own:
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is not for fit: {self.fit}")
        if self.fit == "crop":
            check_integer("shorter_side", self.shorter_side, self.size, MAX_SIZE)
        if self.patch is not None or self.fit == "patches":
            check_integer("patch", self.patch, 1, self.size)
            check_integer("patches", self.patches, 1, MAX_PATCHES)
            if self.size % self._patch or (self.size // self._patch) ** 2 > self._patches:
                raise ValueError("size must be a multiple of patch, with at most so many patches")

    @property
    def hint(self) -> int:
        """Size for `open_photo`, which decodes a larger photo at a smaller scale."""
        return self.shorter_side or self.size

    def read(self, photo: PhotoSource) -> np.ndarray:
        """The pixels of a photo in any supported form, see `pixels`.

        Raises:
            DataError: the photo cannot be read, or the argument is not a photo.
        """
        return self.pixels(read_photo(photo, hint=self.hint))

    def pixels(self, photo: Image.Image) -> np.ndarray:
        """The pixels of an RGB photo: (size, size, 3) uint8; for `patches`, (height, width, 3),
        multiples of `patch`."""
        resample = Image.Resampling[self.filter.upper()]
        if self.shorter_side is not None:
            return np.asarray(self._middle(photo, self.shorter_side, resample))
        size = (self.size, self.size) if self.fit == "squash" else self._patched(*photo.size)
        return np.asarray(photo.resize(size, resample))

    def inputs(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The inputs of the image tower for N photos.

        Returns:
            `pixels` (N, size, size, 3) uint8. For `patches`, `pixels` (N, P, patch * patch * 3)
            uint8, where P is their maximum number and those after the last one are zero; and
            `shapes` (N, 2) int64, the number of patches down and across.
        """
        if self.fit != "patches":
            return {"pixels": np.stack(list(batch))}
        side = self._patch
        pixels = np.zeros((len(batch), self._patches, side * side * 3), np.uint8)
        shapes = np.array([photo.shape[:2] for photo in batch], np.int64) // side
        for row, (photo, (down, across)) in enumerate(zip(batch, shapes, strict=True)):
            cells = photo.reshape(down, side, across, side, 3).swapaxes(1, 2)
            pixels[row, : down * across] = cells.reshape(down * across, -1)
        return {"pixels": pixels, "shapes": shapes}

    def blank(self) -> np.ndarray:
        """The pixels of a square black photo, to load a model."""
        return np.zeros((self.size, self.size, 3), np.uint8)

    def check(self, pixels: object) -> None:
        """Check that a photo has been decoded and resized.

        Raises:
            DataError: it has not; use `Model.encode_image` for it.
        """
        if isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and self._fits(pixels.shape):
            return
        found = (
            f"{pixels.dtype} {pixels.shape}"
            if isinstance(pixels, np.ndarray)
            else type(pixels).__name__
        )
        wanted = f"({self.size}, {self.size}, 3)"
        if self.fit == "patches":
            wanted = f"of at most {self.patches} patches of {self.patch} x {self.patch} pixels"
        raise DataError(
            f"encode_images takes uint8 arrays {wanted}, not {found}; encode_image takes files, "
            "images and arrays of any size"
        )

    def _fits(self, shape: tuple[int, ...]) -> bool:
        if self.fit != "patches" or len(shape) != 3:
            return shape == (self.size, self.size, 3)
        down, across = shape[0] // self._patch, shape[1] // self._patch
        whole = shape == (down * self._patch, across * self._patch, 3)
        return whole and 1 <= down * across <= self._patches

    @property
    def _patch(self) -> int:
        return self.patch or 1

    @property
    def _patches(self) -> int:
        return self.patches or 1

    def _middle(self, photo: Image.Image, shorter: int, resample: Image.Resampling) -> Image.Image:
        """The middle square of a photo whose shorter side is resized to `shorter`."""
        width, height = photo.size
        longer = int(shorter * max(width, height) / min(width, height))
        across, down = (shorter, longer) if width < height else (longer, shorter)
        left, top = (across - self.size) // 2, (down - self.size) // 2
        middle = left, top, left + self.size, top + self.size
        if longer <= _LONG * shorter:
            return photo.resize((across, down), resample).crop(middle)
        # The same, but for rounding: Pillow has the corners of a box in single precision.
        x, y = width / across, height / down
        box = left * x, top * y, min(middle[2] * x, width), min(middle[3] * y, height)
        return photo.resize((self.size, self.size), resample, box=box)

    def _patched(self, width: int, height: int) -> tuple[int, int]:
        """Width and height to which a photo is resized, multiples of `patch`: the largest of its
        shape that has no more than `patches`.

        They are searched for in the same way, and to the same precision, as by SigLIP 2 in
        `transformers`, so that all photos have the same shapes.
        """

        def scaled(side: int, scale: float) -> int:
            return max(1, math.ceil(side * scale / self._patch))

        low, high = 1e-6, 100.0
        while high - low >= 1e-5:
            middle = (low + high) / 2
            fits = scaled(width, middle) * scaled(height, middle) <= self._patches
            low, high = (middle, high) if fits else (low, middle)
        return scaled(width, low) * self._patch, scaled(height, low) * self._patch
