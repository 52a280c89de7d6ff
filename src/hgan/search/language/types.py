"""What a line of the query language means, part by part."""

from dataclasses import dataclass, field
from typing import Literal

from hgan.errors import DataError
from hgan.index.conditions.filter import Filter
from hgan.runtime.images import PhotoSource
from hgan.search.query import Query

ANYTHING = "a photo"
"""What is searched for if there is only what photos should not show."""

Kind = Literal["condition", "without", "unfinished"]


@dataclass(frozen=True)
class Part:
    """A part of the line that is not just words."""

    kind: Kind
    """`condition`; `without`, what photos should not show; or `unfinished`, the name of a field
    at the end of the line without a value, which is ignored."""
    start: int
    """Where it starts in the line, in characters."""
    end: int
    """Where it ends."""
    label: str
    """What it means, in words."""


@dataclass(frozen=True)
class Parsed:
    """A line that was understood."""

    line: str
    """The line itself."""
    text: str
    """The words to search for; empty if there are none."""
    without: tuple[str, ...] = ()
    """What photos should not show."""
    where: Filter = field(default_factory=Filter)
    """The conditions that photos must meet."""
    parts: tuple[Part, ...] = ()
    """Everything but the words, in the order of the line."""

    @property
    def browses(self) -> bool:
        """Whether there are conditions alone, and nothing to rank photos by."""
        return not (self.text.strip() or self.without or self.where.empty)

    def query(
        self,
        photo: PhotoSource | None = None,
        like: str | None = None,
        without: tuple[str, ...] = (),
        photo_share: float = 0.5,
    ) -> Query:
        """The words as a query, together with a photo or with more to avoid.

        Raises:
            DataError: there are no words, no conditions and no photo.
        """
        text = self.text
        avoided = (*self.without, *without)
        is_said = bool(self.without) or not self.where.empty
        if is_said and not (text.strip() or photo is not None or like):
            text = ANYTHING
        return Query(text, photo, like, avoided, photo_share)


class LanguageError(DataError):
    """A condition in a line is not valid."""

    def __init__(self, line: str, start: int, end: int, reason: str) -> None:
        super().__init__(
            f"{line[start:end]!r}: {reason}. To search for these words as they are, put them in "
            "double quotes"
        )
        self.start = start
        """Where the condition starts in the line."""
        self.end = end
        """Where it ends."""
