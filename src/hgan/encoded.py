"""The output of all encoders, in the runtime and in training, and the names of the scores."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

Level = Literal["context", "shared", "local"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""HGAN's levels of similarity, from coarse to fine. Other matchers have their own levels."""
TOTAL = "S"
"""Name of the weighted sum of a matcher's levels."""

Array = TypeVar("Array")
"""`numpy.ndarray` in the runtime, `torch.Tensor` in training."""


def final_level(names: Iterable[str]) -> str:
    """Name of the final score among these names: S, or the only level."""
    found = list(names)
    return TOTAL if TOTAL in found else found[0]


@dataclass(frozen=True)
class Encoded(Generic[Array]):
    """N photos or sentences in the shared space. Rows have unit length; with a semantic prior, rows
    of the context and the local level may be shorter.

    A level that the model does not have is an array of zero width, never None.
    """

    context: Array
    """(N, D): one vector for the whole photo or sentence."""
    slots: Array
    """(N, K, D_s): slot k of a photo and slot k of a sentence describe the same kind of thing."""
    local: Array
    """(N, n, D_l): one vector per region or word; rows outside the mask are zero. A word's
    vector is multiplied by its weight in the mean over words; a sentence's weights average one."""
    mask: Array
    """(N, n) bool: True for regions and words, False for padding."""
