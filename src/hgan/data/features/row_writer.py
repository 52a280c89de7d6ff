"""Write a .npy file row by row, in any order.

A memory map is not used, since writing to it on a full disk kills the process instead of raising
`OSError`.
"""

import math
import os
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib.format import write_array_header_1_0


class RowWriter:
    """Writes a .npy file; rows that are not written are zero."""

    def __init__(
        self, path: Path, shape: tuple[int, ...], dtype: str = "<f4", keep: bool = False
    ) -> None:
        """Open the file, and write its header if it is new.

        Args:
            path: the file.
            shape: shape of the whole array.
            dtype: data type in the file.
            keep: continue an existing file of this shape and type instead of creating a new one.

        Raises:
            OSError: the file cannot be written.
        """
        self.shape, self._dtype = shape, dtype
        self._stride = np.dtype(dtype).itemsize * math.prod(shape[1:])
        self._file = path.open("r+b" if keep else "wb")
        if keep:
            self._start = self._file.seek(0, os.SEEK_END) - shape[0] * self._stride
            return
        head = {"descr": dtype, "fortran_order": False, "shape": shape}
        write_array_header_1_0(self._file, head)
        self._start = self._file.tell()
        self._file.truncate(self._start + shape[0] * self._stride)

    def write(self, row: int, values: np.ndarray) -> None:
        """Write rows (n, ...), starting at this row."""
        assert values.shape[1:] == self.shape[1:] and row + len(values) <= self.shape[0]
        self._file.seek(self._start + row * self._stride)
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)

    def flush(self) -> None:
        """Flush everything written so far to disk.

        Raises:
            OSError: the disk is full.
        """
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
