"""Resolve the id or the path of an item to its id in an index."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID

from hgan.index.store.contract import Entry
from hgan.runtime.formats import is_video
from hgan.runtime.video import MIDDLE
from hgan.sources.open import is_elsewhere, place_of
from hgan.sources.roots import Roots


def possible_ids(name: str, roots: Roots) -> list[str]:
    """The ids that a photo may have.

    Args:
        name: its id, or its path: as in the index, absolute, or relative to the current folder.
        roots: the indexed folders.
    """
    with suppress(ValueError):
        return [str(UUID(name))]
    paths = [Path(name).as_posix()]
    if is_elsewhere(name):
        with suppress(ValueError):  # an address that is not below the indexed one
            paths.append(roots.inside(place_of(name)))
    with suppress(OSError, ValueError):  # not a valid file name
        file = Path(name).parent.resolve() / Path(name).name  # links to files are kept
        paths.append(roots.inside(file))
    return [id_of_path(path) for path in paths]


def id_of_path(path: str) -> str:
    """The id of the photo with this path in the index, with `/` between folders; for the path of a
    video, the id of its middle frame."""
    if is_video(path):
        path = f"{path}#{MIDDLE}"
    printable = path.encode("utf-8", "replace").decode()
    return Entry(printable, size=0, mtime=0, digest="").id
