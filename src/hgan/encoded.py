"""What every encoder returns, in both halves of the program, and the names of the scores."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

Level = Literal["context", "shared", "local"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""HGAN's levels of similarity, from coarse to fine. Another matcher names its own."""
TOTAL = "S"
"""Name of the weighted sum of a matcher's levels."""

Array = TypeVar("Array")
"""`numpy.ndarray` in the runtime, `torch.Tensor` in training."""


@dataclass(frozen=True)
class Encoded(Generic[Array]):
    """N photos or sentences in the shared space; rows have unit length.

    A level that the model does not have is an array of zero width, never None.
    """

    context: Array
    """(N, D): the whole photo or sentence, one vector."""
    slots: Array
    """(N, K, D_s): slot k of a photo and slot k of a sentence describe the same kind of thing."""
    local: Array
    """(N, n, D_l): one vector a region or word; rows outside the mask are zero. A word's length is
    its weight in the mean over words; the weights of a sentence average one."""
    mask: Array
    """(N, n) bool: True where a region or word is real."""


def final_level(names: Iterable[str]) -> str:
    """The score that ranks, among a model's scores: S, or its only level where it has one."""
    names = list(names)
    return TOTAL if TOTAL in names else names[0]
