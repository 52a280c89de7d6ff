"""Where the service is that has an index in a folder open: `service.json` in the folder.

An embedded index is open in one process only. While `hgan serve` has it, other processes of this
machine, such as `hgan search`, read the address of the service here and ask it. The address counts
only while the index is locked: a service that was killed has left its file, and another program may
have its port by now, which must get neither queries nor keys.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from hgan.files import is_locked, parse_json, write_json

FILE = "service.json"
HERE = "127.0.0.1", "::1", "localhost"
"""Hosts that are this machine."""


@contextmanager
def announced(folder: Path, url: str) -> Iterator[None]:
    """Announce the address of a service while the block runs; nothing happens if the folder cannot
    be written."""
    place = folder / FILE
    with suppress(OSError):
        write_json(place, {"url": url, "process": os.getpid()})
    try:
        yield
    finally:
        with suppress(OSError):
            place.unlink(missing_ok=True)


def announced_address(folder: Path) -> str | None:
    """The address of the service that has an index open; None if there is none on this machine."""
    if not is_locked(folder / "lock"):
        return None
    try:
        url = parse_json((folder / FILE).read_text("utf-8"))["url"]
        local = urlsplit(url).scheme == "http" and urlsplit(url).hostname in HERE
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return url if local else None
