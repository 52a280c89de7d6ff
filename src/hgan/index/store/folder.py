"""An index on disk: a folder with the manifest and the engine's files.

INDEX/index.json    the manifest, see `IndexManifest`
INDEX/secret        see `hgan.index.store.secret`
INDEX/lock          held by the process that has the index open
INDEX/edge/         the store
INDEX/service.json  where the service is that has the index open, see `announcement`
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from hgan.errors import IndexingError
from hgan.files import lock_file, parse_json, remove_stale, sync_folder, write_json
from hgan.index.store.contract import Store, repair
from hgan.index.store.manifest import FORMAT_VERSION, IndexManifest
from hgan.index.store.secret import create_secret
from hgan.index.store.snapshot import temporary_copy, why_not_writable

LOCK_WAIT = 2.0
"""Seconds to wait for another process, so that two short searches at the same time both succeed."""

_OWN = "lock", "edge", "secret", "service.json"
"""What an index without a manifest may contain, after an interrupted creation."""


def read_manifest(folder: Path) -> IndexManifest:
    """Read the manifest of an index.

    Raises:
        IndexingError: there is no index, or its manifest is damaged or of a newer format.
    """
    file = folder / "index.json"
    try:
        values = parse_json(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexingError(
            f"{folder}: no index here; create one with `hgan index PHOTOS --to {folder}`"
        ) from error
    except OSError as error:
        raise IndexingError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise IndexingError(
            f"{file}: damaged ({error}); remove the folder and index again"
        ) from error
    return IndexManifest.parse(values, file)


@contextmanager
def open_store(folder: Path, manifest: IndexManifest, check: bool = True) -> Iterator[Store]:
    """Open the store of an index, for this process only.

    If the folder is read-only or the disk is full, a temporary copy is opened, which cannot be
    changed.

    Args:
        folder: the index.
        manifest: its manifest.
        check: whether the number of points must be the one in the manifest.

    Raises:
        IndexingError: another process has the index open, or it is damaged.
    """
    from hgan.index.store.edge import EdgeStore

    reason = why_not_writable(folder) or why_not_writable(folder / "edge")
    with ExitStack() as stack:
        if reason is None:
            place = folder / "edge"
            stack.enter_context(_locked(folder))
        else:
            with _locked(folder, write=False):
                place = stack.enter_context(temporary_copy(folder / "edge", reason))
        widths, commit = (manifest.dense, manifest.local), partial(_commit, folder)
        store = EdgeStore.load(place, *widths, manifest.quantize, commit, reason, folder)
        stack.enter_context(store)
        if check:
            _check_count(folder, store.count())
        yield store


@contextmanager
def create_store(folder: Path, manifest: IndexManifest) -> Iterator[Store]:
    """Create an index, or open an existing one, for this process only.

    Raises:
        IndexingError: the folder contains other files or another index, or another process has the
            index open.
    """
    from hgan.index.store.edge import EdgeStore

    file, commit = folder / "index.json", partial(_commit, folder)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if new := not file.exists():
            _clear(folder)
            widths = manifest.dense, manifest.local
            store = EdgeStore.create(
                folder / "edge", *widths, manifest.quantize, commit, where=folder
            )
        else:
            found = read_manifest(folder)
            found.check_same(folder, manifest)
            if manifest.exclude not in (None, found.exclude):
                with _writing(folder):
                    write_json(file, asdict(replace(found, exclude=manifest.exclude)))
            widths = found.dense, found.local
            store = EdgeStore.load(folder / "edge", *widths, found.quantize, commit, where=folder)
        with store:
            with _writing(folder):
                if new:
                    write_json(file, asdict(manifest))
                    create_secret(folder)
                elif not found.has_bundle:  # the same bundle is now elsewhere
                    write_json(file, asdict(replace(found, bundle_path=manifest.bundle_path)))
            yield store


def write_bundle_path(folder: Path, place: str | None) -> None:
    """Write into the manifest of an index where its bundle is now; see `IndexManifest`.

    Raises:
        IndexingError: there is no index, another process has it open, or it cannot be written.
    """
    read_manifest(folder)  # before the lock, whose file would be created
    with _locked(folder), _writing(folder):
        changed = replace(read_manifest(folder), bundle_path=place)
        write_json(folder / "index.json", asdict(changed))


def discard_store(folder: Path) -> None:
    """Remove the manifest of an index, so that the next `create_store` creates it again, with its
    secret.

    Raises:
        IndexingError: another process has the index open, or the folder cannot be written.
    """
    with _locked(folder), _writing(folder):
        (folder / "index.json").unlink()
        sync_folder(folder)


def _commit(folder: Path, count: int | None) -> None:
    """Write the number of points into the manifest; None while the index is changed."""
    manifest = replace(read_manifest(folder), points=count, format_version=FORMAT_VERSION)
    with _writing(folder):
        write_json(folder / "index.json", asdict(manifest))


def _check_count(folder: Path, count: int) -> None:
    # Read again, because another process may have changed the index before it was locked.
    committed = read_manifest(folder).points
    if committed not in (None, count):
        raise IndexingError(
            f"{folder}: damaged, it contains {count} items instead of {committed}; {repair(folder)}"
        )


def _clear(folder: Path) -> None:
    """Prepare the folder of a new index.

    A store without `index.json` comes from an interrupted creation, and is deleted.

    Raises:
        IndexingError: the folder contains other files.
    """
    remove_stale(folder)
    others = sorted(path.name for path in folder.iterdir() if path.name not in _OWN)
    if others:
        raise IndexingError(
            f"{folder}: contains other files ({others[0]}) and no index; choose a new or empty "
            "folder for the index"
        )
    shutil.rmtree(folder / "edge", ignore_errors=True)


@contextmanager
def _locked(folder: Path, write: bool = True) -> Iterator[None]:
    """Hold the lock of an index. On Windows, there is only the engine's own lock.

    Args:
        folder: the index.
        write: whether the lock file is created; in a folder that cannot be written, it may not
            exist, and then nobody else holds it.
    """
    place = folder / "lock"
    if not write and not place.exists():
        yield
        return
    with _writing(folder):
        try:
            file = lock_file(place, write, LOCK_WAIT)
        except BlockingIOError as error:
            raise IndexingError(
                f"{folder}: another process is using this index; wait until it ends, or stop it"
            ) from error
    with file:
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IndexingError(f"{folder}: cannot be written ({error.strerror or error})") from error
