"""Write a float32 .npy file by rows, in any order.

Not by a memory map: there, a full disk is no `OSError` but the end of the process.
"""

import math
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib.format import write_array_header_1_0


class RowWriter:
    """A .npy file of this shape; rows that are never written are zero."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        """Write the head of the file.

        Raises:
            OSError: it cannot be written.
        """
        self.shape = shape
        self._stride = 4 * math.prod(shape[1:])
        self._file = path.open("wb")
        head = {"descr": "<f4", "fortran_order": False, "shape": shape}
        write_array_header_1_0(self._file, head)
        self._start = self._file.tell()
        self._file.truncate(self._start + shape[0] * self._stride)

    def write(self, row: int, values: np.ndarray) -> None:
        """Write rows (n, ...) from this one on."""
        assert values.shape[1:] == self.shape[1:] and row + len(values) <= self.shape[0]
        self._file.seek(self._start + row * self._stride)
        self._file.write(np.ascontiguousarray(values, dtype="<f4").data)

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
