"""Photos in a folder and in those below it."""

import os
from pathlib import Path

from hgan.errors import DataError, HganError
from hgan.runtime.images import PHOTO_SUFFIXES
from hgan.sources.types import Photo, Source, is_photo_name, printable


class FolderSource(Source):
    """Photos in a folder and in those below it."""

    def __init__(self, root: Path) -> None:
        """Of this folder."""
        self.root: Path = root

    def find(self, skipped: dict[str, str]) -> tuple[list[Photo], tuple[str, ...]]:
        """All photos in order; see `find_photos`."""
        return find_photos(self.root, skipped)

    def content(self, path: str) -> Path:
        """The file of a photo."""
        return self.root / path


def find_photos(root: Path, skipped: dict[str, str]) -> tuple[list[Photo], tuple[str, ...]]:
    """All photos under a folder in order, and the folders that could not be read, as prefixes.

    Hidden folders, and links to folders, are not entered.

    Args:
        root: the folder.
        skipped: gets what looks like a photo and is none, with the reason.

    Raises:
        HganError: there is no such folder, or no photo in it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if printable(str(root)) != str(root):
        raise DataError(f"{printable(str(root))}: the folder's name is not UTF-8; rename it")
    photos: list[Photo] = []
    unread: list[str] = []
    waiting = [""]
    while waiting:
        inside = waiting.pop()  # "" or "some/folder/"
        try:
            with os.scandir(root / inside) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not inside:
                raise DataError(f"{root}: cannot be read ({error.strerror})") from error
            skipped[printable(inside)] = f"the folder cannot be read ({error.strerror})"
            unread.append(inside)
            continue
        folders = []
        for entry in entries:
            name = inside + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        folders.append(f"{name}/")
                elif reason := _refusal(entry, name):
                    skipped[printable(name)] = reason
                elif is_photo_name(entry.name):
                    status = entry.stat()
                    photos.append(Photo(name, status.st_size, status.st_mtime_ns))
            except OSError as error:  # gone while we looked, or a link that leads to itself
                if is_photo_name(entry.name):
                    skipped[printable(name)] = f"cannot be read ({error.strerror})"
        waiting.extend(reversed(folders))
    if not photos:
        raise HganError(
            f"{root}: no photos here, nor in the folders below "
            f"({', '.join(sorted(PHOTO_SUFFIXES))} are looked for)"
        )
    return photos, tuple(unread)


def _refusal(entry: "os.DirEntry[str]", name: str) -> str | None:
    """Why something that looks like a photo, or like a folder, is not taken for one."""
    if entry.is_symlink() and entry.is_dir():
        return "a link to a folder is not followed"
    if not is_photo_name(entry.name):
        return None
    if not entry.is_file():
        return "a link that leads nowhere" if entry.is_symlink() else "not a file"
    if printable(name) != name:
        return "its name is not UTF-8; rename it"
    return None
