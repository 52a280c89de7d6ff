"""The source for photos in a folder and its subfolders."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hgan.errors import DataError
from hgan.runtime.images import check_photo
from hgan.runtime.live_photo import is_clip
from hgan.runtime.photo_file import open_file, read_file
from hgan.runtime.video import read_frame, video_of
from hgan.sources.left_out import LEAST_SIDE
from hgan.sources.sidecars import is_sidecar_name
from hgan.sources.types import (
    FolderItem,
    Listing,
    Photo,
    PhotoContent,
    Source,
    UnreadableFolderError,
    is_photo_name,
    is_video_name,
    printable,
)
from hgan.sources.walk import check_any, find_all


class FolderSource(Source):
    """Photos and videos in a folder and its subfolders; links to folders are skipped."""

    reads_videos = True

    def __init__(self, root: Path) -> None:
        """Use the photos below `root`."""
        self.root: Path = root

    def find(self) -> Listing:
        """List all photos.

        Raises:
            HganError: the folder does not exist, cannot be read, or contains no photos.
        """
        self._check_root()
        return find_all(self)

    def check(self) -> None:
        """Raise the errors of `find`, but stop at the first photo."""
        self._check_root()
        check_any(self)

    def read(self, photo: Photo) -> PhotoContent:
        """Read a photo; the size and time in the result are those of the file that was read.

        A frame of a video is returned as a JPEG; the video is not read as a whole.

        Raises:
            DataError: see `read_file` and `read_frame`.
        """
        if frame := video_of(photo.path):
            return self._read_frame(photo, *frame)
        data, status = read_file(self.root / photo.path)
        found = replace(photo, size=status.st_size, mtime=status.st_mtime_ns)
        return PhotoContent(found, data)

    def _read_frame(self, photo: Photo, video: str, number: int) -> PhotoContent:
        path = self.root / video
        file, status = open_file(path, most=None)
        with file:
            data, moment = read_frame(file, number, str(path))
        found = replace(photo, size=status.st_size, mtime=status.st_mtime_ns)
        return PhotoContent(found, data, moment=moment)

    def glance(self, photo: Photo) -> None:
        """Look at the start of a photo's file.

        Raises:
            DataError: see `check_photo`.
        """
        check_photo(self.root / photo.path, LEAST_SIDE)

    def is_live_clip(self, path: str) -> bool:
        """Whether a video may be the clip of a Live Photo; see `Source.is_live_clip`."""
        try:
            with open_file(self.root / path, most=None)[0] as file:
                return is_clip(file)
        except (DataError, OSError):
            return False

    def _check_root(self) -> None:
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder")
        name = str(self.root)
        if printable(name) != name:
            raise DataError(f"{printable(name)}: the folder's name is not UTF-8; rename it")

    def list_folder(self, folder: str) -> Iterator[FolderItem]:
        """List one folder.

        Raises:
            UnreadableFolderError: it cannot be listed.
        """
        try:
            with os.scandir(self.root / folder) as found:
                entries = list(found)
        except OSError as error:
            raise UnreadableFolderError(error.strerror) from error
        return (_item(entry, self._is_listed(folder + entry.name)) for entry in entries)

    def _is_listed(self, path: str) -> bool:
        return self.holds is None or self.holds(path)


def _item(entry: "os.DirEntry[str]", listed: bool) -> FolderItem:
    """The item of an entry; one that is not listed has no size and time, which take a while to
    read on a network."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return FolderItem(entry.name, is_folder=True)
        if refusal := _refusal(entry):
            return FolderItem(entry.name, refusal=refusal)
        if not (listed and _is_read(entry.name)) and not is_sidecar_name(entry.name):
            return FolderItem(entry.name)
        status = entry.stat()
        return FolderItem(entry.name, size=status.st_size, mtime=status.st_mtime_ns)
    except OSError as error:  # removed meanwhile, or a link to itself
        failed = f"cannot be read ({error.strerror})" if _is_read(entry.name) else ""
        return FolderItem(entry.name, refusal=failed)


def _refusal(entry: "os.DirEntry[str]") -> str:
    """The reason to skip an entry that looks like a photo or a folder; empty if there is none."""
    if entry.is_symlink() and entry.is_dir():
        return "a link to a folder is not followed"
    if not _is_read(entry.name) or entry.is_file():
        return ""
    return "a link that leads nowhere" if entry.is_symlink() else "not a regular file"


def _is_read(name: str) -> bool:
    """Whether this is the name of a photo or a video that can be read here."""
    return is_photo_name(name) or is_video_name(name)
