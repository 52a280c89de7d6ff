"""Open a .npy file for reading: mapped, not read, and whatever is wrong with it named."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from hgan.errors import DataError


def open_npy(path: Path, remedy: str) -> np.memmap:
    """The array of a file.

    Args:
        path: of the file.
        remedy: what to do where it cannot be used.

    Raises:
        DataError: it is missing, truncated, damaged, or holds pickled objects.
    """
    try:
        array: np.memmap = open_memmap(path, mode="r")  # knows no pickles
    except Exception as error:  # numpy parses a damaged head into errors of many kinds
        raise DataError(f"{path}: missing, truncated or damaged ({error}); {remedy}") from error
    return array
