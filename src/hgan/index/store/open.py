"""Open an index: a folder on this machine, or a collection on a server by its address.

    photos.index                      a folder, see `hgan.index.store.folder`
    http://qdrant:6333/photos         a collection, see `hgan.index.store.collection`

Both support the same operations.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType

from hgan.errors import ConfigError
from hgan.index.store import folder
from hgan.index.store.contract import Store
from hgan.index.store.manifest import IndexManifest

Target = Path | str
"""A folder, or the address of a collection."""


def is_address(target: Target) -> bool:
    """Whether the target is a collection on a server."""
    return isinstance(target, str) and target.startswith(("http://", "https://"))


def read_manifest(target: Target) -> IndexManifest:
    """Read the manifest of an index.

    Raises:
        IndexingError: there is no index, or its manifest is damaged or of a newer format.
    """
    if is_address(target):
        return _remote().read_manifest(str(target))
    return folder.read_manifest(Path(target))


def hold(target: Target) -> AbstractContextManager[bool]:
    """Hold the lock of an index while several stores of it are opened one after another; yields
    whether it has a lock that is held now.

    Raises:
        InUseError: another process has the index open.
    """
    return nullcontext(False) if is_address(target) else folder.hold(Path(target))


def open_store(
    target: Target, manifest: IndexManifest, check: bool = True, held: bool = False
) -> AbstractContextManager[Store]:
    """Open the store of an index; a folder can be open in one process at a time.

    Args:
        target: the index.
        manifest: its manifest.
        check: whether the number of items must be the one in the manifest; an index on a server has
            no such number.
        held: whether the caller holds the lock of the index, see `hold`.

    Raises:
        IndexingError: the index is damaged or locked, or the server does not answer.
        ReplacedError: another generation is in use than that of the manifest.
    """
    if is_address(target):
        return _remote().open_store(str(target), manifest)
    return folder.open_store(Path(target), manifest, check, held)


def create_store(target: Target, manifest: IndexManifest) -> AbstractContextManager[Store]:
    """Create an index, or open an existing one, for writing.

    Raises:
        IndexingError: the target contains another index or other files, or cannot be written.
    """
    if is_address(target):
        return _remote().create_store(str(target), manifest)
    return folder.create_store(Path(target), manifest)


def write_bundle_path(target: Target, place: str | None) -> None:
    """Write into the manifest of an index where its bundle is now; see `IndexManifest`.

    Raises:
        IndexingError: there is no index, another process has it open, or it cannot be written.
    """
    if is_address(target):
        _remote().write_bundle_path(str(target), place)
    else:
        folder.write_bundle_path(Path(target), place)


def _remote() -> ModuleType:
    try:
        from hgan.index.store import collection
    except ImportError as error:
        raise ConfigError(
            f"an index on a server needs qdrant-client ({error}); pip install 'hgan[serve]'"
        ) from error
    return collection
