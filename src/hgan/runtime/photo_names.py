"""Check the names of photos that come from others: uploads, and data sets that are unpacked.

A path cannot leave the folder: `..` and absolute paths are rejected. Names that are not valid on
other systems are rejected as well, so that the folder can be copied to them.
"""

import re

from hgan.errors import DataError
from hgan.runtime.formats import HEIC, PHOTO, kind_of

LONGEST_NAME = 200
"""Maximum bytes of a file or folder name; file systems allow 255, temporary names are longer."""
ACCEPTED = (PHOTO, HEIC)
"""The kinds of files that are accepted."""
DEEPEST = 32
"""Maximum number of parts of a path."""

_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])(\..*)?", re.I)
"""Names of devices on Windows, with any suffix."""
_FORBIDDEN = frozenset('\\:*?"<>|')
"""Characters that names cannot have on Windows."""


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
    if kind_of(parts[-1]) not in ACCEPTED:
        suffixes = sorted(suffix for kind in ACCEPTED for suffix in kind.suffixes)
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
