"""The table of what a run could not index: a file of JSON lines, for programs and long lists.

    {"path": "2023/beach.jpg", "reason": "is not a photo"}

It lists what one run has met. Nothing of it is lost if a run is stopped before it is written: items
that are not in the index are read again by the next run, which lists them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

from hgan.errors import DataError
from hgan.files import atomic_write, parse_json

_FIELDS = {"path", "reason"}


def check_table(file: Path) -> None:
    """Make sure that a table can be written, before hours of work.

    Raises:
        DataError: its folder does not exist or cannot be written, or the file is something else
            than an older table, which would be overwritten.
    """
    if not file.parent.is_dir():
        raise DataError(f"{file}: its folder does not exist; create {file.parent}")
    first = b""
    try:
        with TemporaryFile(dir=file.parent):
            pass
        if file.exists():
            with file.open("rb") as opened:
                first = opened.readline(2**20)
    except OSError as error:
        raise DataError(f"{file}: cannot be written ({error.strerror or error})") from error
    if first and not _is_row(first):
        raise DataError(
            f"{file}: is not a list of failed items, and would be overwritten; choose another name"
        )


def write_table(file: Path, skipped: Mapping[str, str]) -> None:
    """Write the table; it is empty if nothing failed.

    Args:
        file: replaced if it exists.
        skipped: paths with the reasons, see `IndexReport`.

    Raises:
        DataError: it cannot be written.
    """
    try:
        with atomic_write(file) as opened:
            for path, why in sorted(skipped.items()):
                row = {"path": path, "reason": reason_of(path, why)}
                opened.write(json.dumps(row).encode() + b"\n")
    except OSError as error:
        raise DataError(f"{file}: cannot be written ({error.strerror or error})") from error


def reason_of(path: str, why: str) -> str:
    """The reason of an error message, which may begin with the path."""
    return why.partition(f"{path}: ")[2] or why


def _is_row(line: bytes) -> bool:
    try:
        row = parse_json(line)
    except ValueError:
        return False
    return isinstance(row, dict) and row.keys() >= _FIELDS
