"""The types of captions: a photo with its captions, a problem of a file, and a whole data set."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hgan.errors import DataError

_SPLIT_NAMES = {"dev": "val", "validation": "val", "restval": "train"}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Record:
    """One photo of a caption file."""

    image: str
    split: str | None
    where: str
    """File and line (or position) of the photo."""
    captions: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """File and line of each caption."""
    image_id: int | None = None
    """Id of the photo in the data set, as in MS-COCO."""
    caption_ids: list[int] | None = None
    """Id of each caption in the data set."""


@dataclass(frozen=True)
class Problem:
    """A problem of a caption file that must be corrected before training."""

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, eq=False)
class Captions:
    """Photos and captions, with the photo of each caption as ground truth."""

    images: list[str]
    """(N) file names relative to the photo folder; unique, in the order of the caption file."""
    texts: list[str]
    """(T) captions of all photos."""
    image_of: np.ndarray
    """(T,) int64: for each caption, the position of its photo in `images`."""
    splits: list[str | None]
    """(N) the split of each photo: train, val, test, another name, or None."""
    image_ids: np.ndarray | None = None
    """(N,) int64: ids of the photos in the data set, as in MS-COCO; None if one is missing."""
    caption_ids: np.ndarray | None = None
    """(T,) int64: ids of the captions in the data set; None if one is missing."""

    def split(self, name: str) -> "Captions":
        """The photos of one split and their captions, in the same order.

        Raises:
            DataError: no photo is in that split.
        """
        name = split_name(name) or ""
        inside = np.array([split == name for split in self.splits], dtype=bool)
        if not inside.any():
            counts = Counter(split or "(none)" for split in self.splits)
            found = ", ".join(f"{key} ({count})" for key, count in counts.items())
            raise DataError(f"no photo is in split {name!r}; the splits here are {found}")
        return replace(self._chosen(inside), splits=[name] * int(inside.sum()))

    def without(self, photos: Collection[str]) -> "Captions":
        """All but these photos and their captions, in the same order."""
        return self._chosen(np.array([image not in photos for image in self.images], dtype=bool))

    def _chosen(self, inside: np.ndarray) -> "Captions":
        """Some of the photos, for which `inside` (N) is true, and their captions."""
        position = np.cumsum(inside) - 1  # old position of a photo -> new one
        kept = np.flatnonzero(inside[self.image_of])
        return Captions(
            images=[self.images[i] for i in np.flatnonzero(inside)],
            texts=[self.texts[t] for t in kept],
            image_of=position[self.image_of[kept]],
            splits=[self.splits[i] for i in np.flatnonzero(inside)],
            image_ids=None if self.image_ids is None else self.image_ids[inside],
            caption_ids=None if self.caption_ids is None else self.caption_ids[kept],
        )

    def of_image(self) -> list[np.ndarray]:
        """For each photo, the positions of its captions in `texts`, ascending."""
        order = np.argsort(self.image_of, kind="stable")
        ends = np.cumsum(np.bincount(self.image_of, minlength=len(self.images)))
        return np.split(order, ends)[:-1]


def split_name(name: str | None) -> str | None:
    """The standard name of a split: lower case, `dev` is val, `restval` is train."""
    name = (name or "").strip().lower()
    return _SPLIT_NAMES.get(name, name) or None


def is_text(value: Any) -> bool:
    """Whether a value is text, without lone surrogates, which JSON allows but tokenizers do not."""
    return isinstance(value, str) and not _SURROGATE.search(value)


def is_id(value: Any) -> bool:
    """Whether a value is an integer from 0 that fits into an int64."""
    return type(value) is int and 0 <= value < 2**63  # True is also an int
