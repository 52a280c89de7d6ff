"""Check the paths of uploaded photos, which must be inside the indexed folder.

A path cannot leave the folder: `..`, absolute paths and links are rejected. Names that are not
valid on other systems are rejected as well, so that the folder can be copied to them.
"""

import re
from pathlib import Path

from hgan.errors import DataError
from hgan.runtime.formats import HEIC, PHOTO, kind_of

LONGEST_NAME = 200
"""Maximum bytes of a file or folder name; file systems allow 255, temporary names are longer."""
UPLOADED = (PHOTO, HEIC)
"""The kinds of files that can be uploaded."""
DEEPEST = 32
"""Maximum number of parts of a path."""

_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])(\..*)?", re.I)
"""Names of devices on Windows, with any suffix."""
_FORBIDDEN = frozenset('\\:*?"<>|')
"""Characters that names cannot have on Windows."""


class TakenError(DataError):
    """There is already something at the path of a photo."""


def parts_of(path: str) -> list[str]:
    """Split a path with `/` into folders and file name.

    Raises:
        DataError: it is not a valid path of a photo below a folder.
    """
    parts = path.split("/")
    if len(parts) > DEEPEST:
        raise DataError(f"path: has {len(parts)} parts; at most {DEEPEST} are allowed")
    for part in parts:
        if reason := _refusal(part):
            raise DataError(f"path: {part[:80]!r} {reason}; write one such as 2023/italy/dog.jpg")
    if kind_of(parts[-1]) not in UPLOADED:
        suffixes = sorted(suffix for kind in UPLOADED for suffix in kind.suffixes)
        raise DataError(
            f"path: {parts[-1][:80]!r} is not the name of a photo; it must end with one of "
            f"{', '.join(suffixes)}"
        )
    return parts


def _refusal(part: str) -> str | None:
    """The reason why a file or folder cannot have this name; None if it can."""
    if not part:
        return "is not a name: a path must not start or end with /, or contain //"
    if part.startswith("."):
        return "is hidden or leads out of the folder"
    if not part.isprintable():
        return "has invisible characters"
    if found := _FORBIDDEN & set(part):
        return f"contains {min(found)}, which is not allowed on some systems"
    if part != part.strip() or part.endswith("."):
        return "starts or ends with a space, or ends with a dot"
    if _DEVICES.fullmatch(part):
        return "is the name of a device on Windows"
    if len(part.encode()) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} bytes"
    return None


def place_of(root: Path, parts: list[str], index: Path | None) -> Path:
    """The file that a photo is written to; nothing is created.

    Args:
        root: the indexed folder.
        parts: the parts of the path, from `parts_of`.
        index: the folder of the index, which may be inside the folder of photos.

    Raises:
        DataError: the path is in the folder of the index, or goes through a link, which indexing
            would not follow.
        TakenError: there is a file where a folder should be, or something other than a file at
            the path.
    """
    place = root
    for part in parts[:-1]:
        place = place / part
        if place.is_symlink():
            raise DataError(f"path: {part!r} is a link, and links to folders are not followed")
        if place.exists() and not place.is_dir():
            raise TakenError(f"path: {part!r} is a file and not a folder; choose another name")
    if index is not None and place.resolve().is_relative_to(index.resolve()):
        raise DataError("path: this is the folder of the index; choose another folder")
    place = place / parts[-1]
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise TakenError(f"path: {parts[-1]!r} is a link or a folder; choose another name")
    return place
