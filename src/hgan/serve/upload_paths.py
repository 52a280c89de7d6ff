"""Where a photo that is sent may lie: below the folder that was indexed, where indexing finds it.

Whatever a name says, nothing outside the folder is reached: not by `..`, not from the root, not
through a link. Names that another system would read as something else are refused as well, so that
a folder can be copied to it.
"""

import re
from pathlib import Path

from hgan.errors import DataError
from hgan.runtime.images import PHOTO_SUFFIXES

LONGEST_NAME = 200
"""Bytes of a file's or a folder's name; file systems end at 255, and temporary names are longer."""
DEEPEST = 32
"""Parts of a path."""

_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])(\..*)?", re.I)
"""Names that Windows gives to devices, whatever follows the dot."""
_FORBIDDEN = frozenset('\\:*?"<>|')
"""What no name can hold on Windows."""


class TakenError(DataError):
    """There is something in the place where a photo should go."""


def parts_of(path: str) -> list[str]:
    """The folders and the name of a photo, from a path with `/` between them.

    Raises:
        DataError: it is not the path of a photo below a folder.
    """
    parts = path.split("/")
    if len(parts) > DEEPEST:
        raise DataError(f"path: has {len(parts)} parts; {DEEPEST} are the most")
    for part in parts:
        if reason := _refusal(part):
            raise DataError(f"path: {part[:80]!r} {reason}; write one such as 2023/italy/dog.jpg")
    if Path(parts[-1]).suffix.lower() not in PHOTO_SUFFIXES:
        raise DataError(
            f"path: {parts[-1][:80]!r} does not end as a photo does; write one of "
            f"{', '.join(sorted(PHOTO_SUFFIXES))}"
        )
    return parts


def _refusal(part: str) -> str | None:
    """Why no file or folder can have this name here."""
    if not part:
        return "is no name: a path has no / at its ends, nor two in a row"
    if part.startswith("."):
        return "is hidden or leads out of the folder"
    if not part.isprintable():
        return "has characters that cannot be seen"
    if found := _FORBIDDEN & set(part):
        return f"has {min(found)} in it, which not every system can store"
    if part != part.strip() or part.endswith("."):
        return "has a space or a dot at its end"
    if _DEVICES.fullmatch(part):
        return "is the name of a device on Windows"
    if len(part.encode()) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} bytes"
    return None


def place_of(root: Path, parts: list[str], index: Path | None) -> Path:
    """Where the photo goes; nothing is made.

    Args:
        root: the folder that was indexed.
        parts: of its path, from `parts_of`.
        index: the folder of the index, which may lie in that of the photos.

    Raises:
        DataError: the index lies there, or a link does, which indexing would not follow.
        TakenError: a file lies where there should be a folder, or no file where one should be.
    """
    place = root
    for part in parts[:-1]:
        place = place / part
        if place.is_symlink():
            raise DataError(f"path: {part!r} is a link, and links to folders are not followed")
        if place.exists() and not place.is_dir():
            raise TakenError(f"path: {part!r} is a file and no folder; choose another name")
    if index is not None and place.resolve().is_relative_to(index.resolve()):
        raise DataError("path: the index itself lies there; choose another folder")
    place = place / parts[-1]
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise TakenError(f"path: {parts[-1]!r} is a link or a folder; choose another name")
    return place
