"""Read word vectors in GloVe's text format: each line is a word and its values, with spaces."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hgan.errors import DataError


class WordVectors(NamedTuple):
    """The vectors of the F words of a vocabulary that are in a file."""

    ids: np.ndarray
    """(F,) int64, ids of the words"""
    values: np.ndarray
    """(F, width) float32, vectors of the words"""


def read_vectors(path: Path, words: dict[str, int]) -> WordVectors:
    """Read the vectors of the words in a vocabulary; for other words, only the width is checked.

    The first line sets the width. A word can contain spaces, as in GloVe's largest files. If a word
    is repeated, its last vector is used.

    Args:
        path: the file; it is read line by line, so it can be larger than memory.
        words: ids by word.

    Raises:
        DataError: the file is missing, empty or malformed; the message names the line.
    """
    vocabulary = {word.encode(): number for word, number in words.items()}
    found: dict[int, np.ndarray] = {}
    width = 0
    try:
        with path.open("rb") as file:
            # Bytes, not text: some words contain Unicode line separators.
            for number, line in enumerate(file, start=1):
                fields = line.rstrip().split(b" ")
                width = width or len(fields) - 1
                if not 0 < width < len(fields) or _is_number(fields[1:-width]):
                    raise DataError(
                        f"{path}:{number}: {len(fields) - 1} numbers after the word, expected "
                        f"{f'{width} as in the first line' if width else 'at least one'}; each "
                        "line must be `word v1 v2 ...`"
                    )
                word = b" ".join(fields[:-width])
                if word in vocabulary:
                    found[vocabulary[word]] = _vector(fields[-width:], path, number)
    except OSError as error:
        raise DataError(f"{path}: word vectors cannot be read ({error.strerror})") from error
    if not width:
        raise DataError(f"{path}: contains no word vectors")
    values = np.array(list(found.values()), dtype=np.float32).reshape(len(found), width)
    return WordVectors(np.array(list(found), dtype=np.int64), values)


def _is_number(fields: list[bytes]) -> bool:
    """Whether the last field of a word is a number, so that the line has too many numbers."""
    try:
        return bool(fields) and np.isfinite(float(fields[-1]))
    except ValueError:
        return False


def _vector(fields: list[bytes], path: Path, number: int) -> np.ndarray:
    try:
        vector = np.array([float(field) for field in fields], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}:{number}: {error}") from error
    if not np.isfinite(vector).all():
        raise DataError(f"{path}:{number}: a number that is not finite")
    return vector
