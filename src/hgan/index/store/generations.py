"""The generations of an index in a folder: a new one is filled beside the one that is in use.

INDEX/index.json            its `generation` is the number of the generation in use
INDEX/edge/                 the store of generation 0
INDEX/generation-N/edge/    the store of generation N
INDEX/rebuild               locked by the process that fills the next generation

The next generation is an index folder by itself while it is filled, with its own `index.json`. Once
it is whole, the file `ready` is written into it. Until then, it belongs to the process that holds
INDEX/rebuild; from then on, to the process that holds INDEX/lock: the one that rebuilds, or a
service that has the index open all the time. That process writes INDEX/index.json with the number
of the generation. This one atomic write is the whole switch, so a process that is killed leaves
either the old generation in use, or the new one.
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path

from hgan.files import sync_folder, write_json

_NAME = re.compile(r"generation-(\d+)")
_READY = "ready"
_OWN = "index.json", "lock", "secret", _READY
"""Files that a generation needs only while it is filled."""


def generation_folder(index: Path, number: int) -> Path:
    """The folder of a generation; that of generation 0 is the index itself."""
    return index / f"generation-{number}" if number else index


def store_folder(index: Path, number: int) -> Path:
    """The folder of the store of a generation."""
    return generation_folder(index, number) / "edge"


def is_generation(path: Path) -> bool:
    """Whether this is the name of the folder of a generation."""
    return _NAME.fullmatch(path.name) is not None


def is_ready(generation: Path) -> bool:
    """Whether a generation is whole, and waits to be taken into use."""
    return (generation / _READY).is_file()


def set_ready(generation: Path) -> None:
    """Mark a generation as whole; nothing is written to it by the caller from now on."""
    write_json(generation / _READY, {})


def tidy(index: Path, current: int) -> None:
    """Remove the generations before the one in use, and what it no longer needs.

    The caller holds the lock of the index, and has no older generation open. What cannot be removed
    now is removed the next time.
    """
    if current == 0:
        return
    for name in _OWN:
        with suppress(OSError):
            (generation_folder(index, current) / name).unlink(missing_ok=True)
    shutil.rmtree(store_folder(index, 0), ignore_errors=True)
    for path in index.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) < current:
            shutil.rmtree(path, ignore_errors=True)
    sync_folder(index)
