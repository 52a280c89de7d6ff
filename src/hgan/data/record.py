"""What every form of caption file is read to: records of photos, and problems with them."""

import re
from dataclasses import dataclass, field
from typing import Any

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
