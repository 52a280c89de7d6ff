"""The ids of items that are named by their id or by their path."""

from contextlib import suppress
from pathlib import Path, PurePath
from uuid import UUID

from hgan.index.store.contract import Entry
from hgan.sources.open import is_elsewhere, place_of


def possible_ids(name: str, root: PurePath) -> list[str]:
    """The ids that a photo may have.

    Args:
        name: its id, or its path: below the root, absolute, or from the current folder.
        root: the folder that was indexed, or an address.
    """
    with suppress(ValueError):
        return [str(UUID(name))]
    paths = [Path(name).as_posix()]
    if is_elsewhere(name):
        with suppress(ValueError):  # an address of other photos
            paths.append(place_of(name).relative_to(root).as_posix())
    with suppress(OSError, ValueError):  # not a name that a file could have
        file = Path(name).parent.resolve() / Path(name).name  # a photo that is a link stays one
        paths.append(file.relative_to(root).as_posix())
    return [id_of_path(path) for path in paths]


def id_of_path(path: str) -> str:
    """The id of a photo by its path below the root, with `/` between folders."""
    printable = path.encode("utf-8", "replace").decode()
    return Entry(printable, size=0, mtime=0, digest="").id
