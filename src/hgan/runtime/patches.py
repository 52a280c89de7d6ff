"""Patches of a photo, which a dual encoder compares with a sentence when it explains a match.

A dual encoder has one vector for the whole photo. Vectors of patches are approximate, because the
model was not trained to give them; they are computed for an explanation alone, and not stored.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from hgan.runtime.preprocessing import MAX_SIZE
from hgan.runtime.ranges import check_integer, check_text

MAX_SIDE = 256
"""Maximum number of patches along a side; more are a mistake, and would need too much memory."""


@dataclass(frozen=True)
class PatchGrid:
    """The patches of the square that an image tower reads.

    Raises:
        ValueError: a field has a wrong type, or is out of range.
    """

    model: str
    """Class of the model for display, such as CLIP."""
    side: int
    """Number of patches along each side."""
    pixels: int
    """Side of a patch in pixels. The patches need not fill the square."""

    def __post_init__(self) -> None:
        check_text("patches.model", self.model, 100)
        check_integer("patches.side", self.side, 1, MAX_SIDE)
        check_integer("patches.pixels", self.pixels, 1, MAX_SIZE)

    @property
    def source(self) -> str:
        """What the vectors of the patches are, for display."""
        return f"patch tokens of {self.model}, without the last attention; approximate"

    def boxes(self, size: int) -> list[list[float]]:
        """(P, 4): each patch's x0 y0 x1 y1 in 0..1 of a square of `size` pixels, row by row."""
        edges = [step * self.pixels / size for step in range(self.side + 1)]
        steps = range(self.side)
        return [[edges[x], edges[y], edges[x + 1], edges[y + 1]] for y in steps for x in steps]


@dataclass(frozen=True)
class PatchMap:
    """The similarity of a sentence to each patch of a photo."""

    source: str
    """What the vectors of the patches are."""
    similarity: np.ndarray
    """(R,) float64: the cosine of each patch and the whole sentence."""

    @classmethod
    def of(cls, patches: np.ndarray, sentence: np.ndarray, source: str) -> Self:
        """Compare patches (R, D) and a sentence (D,), all of length one."""
        return cls(source, patches.astype(np.float64) @ sentence.astype(np.float64))

    @property
    def region(self) -> int:
        """Index of the most similar patch."""
        return int(self.similarity.argmax())

    @property
    def best(self) -> float:
        """Similarity to the most similar patch."""
        return float(self.similarity.max())
