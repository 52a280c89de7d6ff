"""Several files that appear in a folder together, once all of them are whole."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hgan.errors import DataError


@contextmanager
def new_files(folder: Path, names: Iterable[str]) -> Iterator[dict[str, Path]]:
    """Where to write files that get their names, in this order, when the block ends without error.

    Raises:
        DataError: one of them is there already.
    """
    names = list(names)
    refuse_existing(folder / name for name in names)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = {name: folder / f".{name}.{os.getpid()}.tmp" for name in names}
    try:
        yield temporary
        for path in temporary.values():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        for name, path in temporary.items():
            path.replace(folder / name)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raise `DataError` where one of these exists; nothing of the user's is written over."""
    for path in paths:
        if path.exists():
            raise DataError(f"{path} is there already; remove it, or name another target")
