"""Resolve the id or the path of an item to its id in an index."""

from contextlib import suppress
from pathlib import Path, PurePath
from uuid import UUID

from hgan.index.store.contract import Entry
from hgan.runtime.formats import is_video
from hgan.runtime.video import MIDDLE
from hgan.sources.open import is_elsewhere, place_of


def possible_ids(name: str, root: PurePath) -> list[str]:
    """The ids that a photo may have.

    Args:
        name: its id, or its path: relative to the root, absolute, or relative to the current
            folder.
        root: the indexed folder, or an address.
    """
    with suppress(ValueError):
        return [str(UUID(name))]
    paths = [Path(name).as_posix()]
    if is_elsewhere(name):
        with suppress(ValueError):  # an address that is not below the root
            paths.append(place_of(name).relative_to(root).as_posix())
    with suppress(OSError, ValueError):  # not a valid file name
        file = Path(name).parent.resolve() / Path(name).name  # links to files are kept
        paths.append(file.relative_to(root).as_posix())
    return [id_of_path(path) for path in paths]


def id_of_path(path: str) -> str:
    """The id of the photo with this path relative to the root, with `/` between folders; for the
    path of a video, the id of its middle frame."""
    if is_video(path):
        path = f"{path}#{MIDDLE}"
    printable = path.encode("utf-8", "replace").decode()
    return Entry(printable, size=0, mtime=0, digest="").id
