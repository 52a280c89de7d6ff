"""Open a .npy file as a memory map, with an error that names the file if it is damaged."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from hgan.errors import DataError


def open_npy(path: Path, remedy: str) -> np.memmap:
    """The array of a file, memory-mapped, read-only.

    Args:
        path: of the file.
        remedy: what to do if it cannot be used, for the message.

    Raises:
        DataError: it is missing, truncated, damaged, or contains pickled objects.
    """
    try:
        array: np.memmap = open_memmap(path, mode="r")  # does not read pickles
    except Exception as error:  # a damaged header raises errors of many kinds
        raise DataError(f"{path}: missing, truncated or damaged ({error}); {remedy}") from error
    return array
