"""Split a sequence into chunks of equal length (`itertools.batched` is not in Python 3.11)."""

from collections.abc import Iterator
from typing import Protocol, TypeVar


class Sliceable(Protocol):
    """A list, another sequence, or an array."""

    def __len__(self) -> int: ...

    def __getitem__(self: "S", places: slice, /) -> "S": ...


S = TypeVar("S", bound=Sliceable)


def chunks(items: S, size: int) -> Iterator[S]:
    """Yield consecutive chunks of `size` items; the last chunk may be shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))
