"""Walk through the folders of a source; the source provides a function that lists one folder."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hgan.errors import DataError, HganError
from hgan.runtime.images import PHOTO_SUFFIXES
from hgan.sources.types import Listing, Photo, is_photo_name, printable


class FolderItem(NamedTuple):
    """A file or folder in the listing of a folder."""

    name: str
    is_folder: bool = False
    refusal: str = ""
    """Reason to skip it, although it looks like a photo or a folder of photos; empty for none."""
    size: int = 0
    mtime: int = 0
    etag: str = ""


ListFolder = Callable[[str], Iterable[FolderItem]]
"""Lists one folder: `""` for the root, or a path with a trailing slash such as `2023/italy/`."""


class UnreadableFolderError(DataError):
    """A folder cannot be listed; the message contains only the reason."""


def walk(root: Path | str, list_folder: ListFolder, listing: Listing) -> Iterator[Photo]:
    """Yield all photos below a root in order; hidden folders are skipped.

    Args:
        root: the root, for error messages.
        list_folder: lists one folder, in any order.
        listing: `skipped` and `unread` are filled in.

    Raises:
        DataError: the root cannot be listed.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            items = sorted(list_folder(folder))
        except UnreadableFolderError as error:
            if not folder:
                raise DataError(f"{root}: cannot be read ({error})") from error
            listing.skipped[printable(folder)] = f"the folder cannot be read ({error})"
            listing.unread += (folder,)
            continue
        folders = []
        for item in items:
            path = folder + item.name
            if item.is_folder:
                if not item.name.startswith("."):
                    folders.append(f"{path}/")
            elif item.refusal:
                listing.skipped[printable(path)] = item.refusal
            elif is_photo_name(item.name):
                if printable(path) == path:
                    yield Photo(path, item.size, item.mtime, item.etag)
                else:
                    listing.skipped[printable(path)] = "its name is not UTF-8; rename it"
        waiting.extend(reversed(folders))


def find_all(root: Path | str, list_folder: ListFolder) -> Listing:
    """List all photos below a root; see `walk`.

    Raises:
        HganError: there are no photos.
    """
    listing = Listing()
    listing.photos = list(walk(root, list_folder, listing))
    if not listing.photos:
        raise _no_photos(root)
    return listing


def check_any(root: Path | str, list_folder: ListFolder) -> None:
    """Raise `HganError` unless there is a photo below a root."""
    if next(walk(root, list_folder, Listing()), None) is None:
        raise _no_photos(root)


def _no_photos(root: Path | str) -> HganError:
    return HganError(
        f"{root}: no photos here or in its subfolders "
        f"(files with {', '.join(sorted(PHOTO_SUFFIXES))})"
    )
