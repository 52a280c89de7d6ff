"""Open a .npy file as a memory map, with an error that names the file if it is damaged."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from hgan.errors import DataError


def open_npy(path: Path, remedy: str) -> np.memmap:
    """Open the array of a file as a read-only memory map.

    Args:
        path: the file.
        remedy: what the user can do if it cannot be opened, for the error message.

    Raises:
        DataError: the file is missing, truncated, damaged, or contains pickled objects.
    """
    try:
        array: np.memmap = open_memmap(path, mode="r")  # does not load pickled objects
    except Exception as error:  # a damaged header can raise many kinds of errors
        raise DataError(f"{path}: missing, truncated or damaged ({error}); {remedy}") from error
    return array
