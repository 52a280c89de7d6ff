"""What every encoder returns, in both halves of the program: three granularities of an item."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")
"""`numpy.ndarray` in the runtime, `torch.Tensor` in training."""

COMBINED = "S"
"""Name of the weighted sum of the levels."""


def final_level(names: Iterable[str]) -> str:
    """The score that counts among these names: S, or the only level."""
    found = list(names)
    return COMBINED if COMBINED in found else found[0]


@dataclass(frozen=True)
class Encoded(Generic[Array]):
    """N photos or sentences in the shared space; rows have unit length.

    A level that the model does not have is an array of zero width, never None.
    """

    context: Array
    """(N, D): the whole photo or sentence, one vector."""
    slots: Array
    """(N, K, D_s): slot k of a photo and slot k of a sentence speak of the same kind of thing."""
    local: Array
    """(N, n, D_l): one vector a region or word; rows outside the mask are zero. A word's length is
    its weight in the mean over words; the weights of a sentence average one."""
    mask: Array
    """(N, n) bool: True where a region or word is real."""
