"""Check the places of uploaded photos, which must be inside the indexed folder: links are rejected.

`hgan.runtime.photo_names` checks their names.
"""

from pathlib import Path

from hgan.errors import DataError


class TakenError(DataError):
    """There is already something at the path of a photo."""


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
