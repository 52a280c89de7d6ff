"""What every form of caption file is read to: photos with captions, and problems with them."""

import re
from collections import Counter
from dataclasses import dataclass, field
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
    """File and line (or position) that names the photo."""
    captions: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """File and line of each caption."""
    image_id: int | None = None
    """The data set's own number of the photo, as MS-COCO's."""
    caption_ids: list[int] | None = None
    """The data set's own number of each caption."""


@dataclass(frozen=True)
class Problem:
    """Something in a caption file that makes it wrong to train on."""

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, eq=False)
class Captions:
    """Photos and their captions, with an explicit ground truth."""

    images: list[str]
    """(N) photo files relative to the photo folder; unique, in file order."""
    texts: list[str]
    """(T) all captions."""
    image_of: np.ndarray
    """(T,) int64: the position in `images` of each caption's photo."""
    splits: list[str | None]
    """(N) the split of each photo: train, val, test, another name, or none."""
    image_ids: np.ndarray | None = None
    """(N,) int64: the data set's own numbers of the photos, as MS-COCO's; None where not all of
    them have one."""
    caption_ids: np.ndarray | None = None
    """(T,) int64: the data set's own numbers of the captions; None as above."""

    def split(self, name: str) -> "Captions":
        """Only the photos of one split, and their captions, in the same order.

        Raises:
            DataError: no photo is in that split.
        """
        name = split_name(name) or ""
        inside = np.array([split == name for split in self.splits], dtype=bool)
        if not inside.any():
            counts = Counter(split or "(none)" for split in self.splits)
            found = ", ".join(f"{key} ({count})" for key, count in counts.items())
            raise DataError(f"no photo is in split {name!r}; the splits here are {found}")
        position = np.cumsum(inside) - 1  # old position of a photo -> new one
        kept = np.flatnonzero(inside[self.image_of])
        return Captions(
            images=[self.images[i] for i in np.flatnonzero(inside)],
            texts=[self.texts[t] for t in kept],
            image_of=position[self.image_of[kept]],
            splits=[name] * int(inside.sum()),
            image_ids=None if self.image_ids is None else self.image_ids[inside],
            caption_ids=None if self.caption_ids is None else self.caption_ids[kept],
        )

    def of_image(self) -> list[np.ndarray]:
        """For each photo, the positions of its captions in `texts`, ascending."""
        order = np.argsort(self.image_of, kind="stable")
        ends = np.cumsum(np.bincount(self.image_of, minlength=len(self.images)))
        return np.split(order, ends)[:-1]


def split_name(name: str | None) -> str | None:
    """A split as this program calls it: lower case, `dev` is val, `restval` is train."""
    name = (name or "").strip().lower()
    return _SPLIT_NAMES.get(name, name) or None


def is_text(value: Any) -> bool:
    """False also for half of a surrogate pair, which JSON can spell but no tokenizer reads."""
    return isinstance(value, str) and not _SURROGATE.search(value)


def is_id(value: Any) -> bool:
    """True for a whole number that an int64 holds."""
    return type(value) is int and 0 <= value < 2**63  # True is an int, too
