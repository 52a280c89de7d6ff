"""An index of the photos, and a small file system that can be filled."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from tests.fixtures.disks import mounted


@pytest.fixture
def to(photos: Path, tmp_path: Path, bundle: Bundle) -> Path:
    """An index of the photos."""
    index_folder(photos, tmp_path / "index", bundle)
    return tmp_path / "index"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 MB."""
    with mounted(tmp_path / "disk", 512 << 20) as place:
        yield place


def fill(disk: Path, left: int) -> Path:
    """Fill a disk until this number of bytes is left; returns the file to remove."""
    ballast = disk / "ballast"
    with ballast.open("ab") as file:
        found = os.statvfs(disk)
        size = found.f_bavail * found.f_frsize - left
        if size > 0:
            os.posix_fallocate(file.fileno(), file.tell(), size)
    return ballast
