"""A small file system that can be filled."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=512M", "tmpfs", str(place)]
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fill a disk until this number of bytes is left; returns the file to remove."""
    ballast = disk / "ballast"
    with ballast.open("ab") as file:
        found = os.statvfs(disk)
        size = found.f_bavail * found.f_frsize - left
        if size > 0:
            os.posix_fallocate(file.fileno(), file.tell(), size)
    return ballast
