"""An index on disk: a folder with the manifest and the engine's files.

INDEX/index.json    the manifest, see `IndexManifest`
INDEX/secret        see `hgan.index.store.secret`
INDEX/lock          held by the process that has the index open
INDEX/edge/         the store; of an index that was rebuilt, see `hgan.index.store.generations`
INDEX/service.json  where the service is that has the index open, see `announcement`
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from hgan.errors import IndexingError
from hgan.files import lock_file, parse_json, remove_stale, sync_folder, write_json
from hgan.index.store.contract import InUseError, ReplacedError, Store, repair
from hgan.index.store.generations import generation_folder, is_generation, store_folder, tidy
from hgan.index.store.manifest import FORMAT_VERSION, IndexManifest
from hgan.index.store.secret import create_secret
from hgan.index.store.snapshot import temporary_copy, why_not_writable

LOCK_WAIT = 2.0
"""Seconds to wait for another process, so that two short searches at the same time both succeed."""

_OWN = "lock", "edge", "secret", "rebuild", "pause", "paused", "service.json"
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
def hold(folder: Path) -> Iterator[bool]:
    """Hold the lock of an index while several stores of it are opened one after another.

    Yields:
        Whether the lock is held; that of an index that cannot be written is not.

    Raises:
        InUseError: another process has the index open.
    """
    manifest = read_manifest(folder)
    if _why_not_writable(folder, manifest) is not None:
        yield False
        return
    with _locked(folder):
        yield True


@contextmanager
def open_store(
    folder: Path, manifest: IndexManifest, check: bool = True, held: bool = False
) -> Iterator[Store]:
    """Open the store of an index, for this process only.

    If the folder is read-only or the disk is full, a temporary copy is opened, which cannot be
    changed.

    Args:
        folder: the index.
        manifest: its manifest.
        check: whether the number of points must be the one in the manifest.
        held: whether the caller holds the lock of the index, see `hold`.

    Raises:
        IndexingError: another process has the index open, or it is damaged.
        ReplacedError: another generation is in use than that of the manifest.
    """
    from hgan.index.store.edge import EdgeStore

    reason, place = _why_not_writable(folder, manifest), store_folder(folder, manifest.generation)
    with ExitStack() as stack:
        if held:
            _check_generation(folder, manifest)
        elif reason is None:
            stack.enter_context(_locked(folder))
            _check_generation(folder, manifest)
            tidy(folder, manifest.generation)
        else:
            with _locked(folder, write=False):
                _check_generation(folder, manifest)
                place = stack.enter_context(temporary_copy(place, reason))
        widths = manifest.dense, manifest.local
        commit = partial(_commit, folder, manifest.generation)
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

    file = folder / "index.json"
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if new := not file.exists():
            _clear(folder)
            widths, commit = (manifest.dense, manifest.local), partial(_commit, folder, 0)
            place = store_folder(folder, 0)
            store = EdgeStore.create(place, *widths, manifest.quantize, commit, where=folder)
        else:
            found = read_manifest(folder)
            found.check_same(folder, manifest)
            if (changed := found.updated(manifest)) != found:
                found = changed
                with _writing(folder):
                    write_json(file, found.as_dict())
            tidy(folder, found.generation)
            widths, commit = (found.dense, found.local), partial(_commit, folder, found.generation)
            place = store_folder(folder, found.generation)
            store = EdgeStore.load(place, *widths, found.quantize, commit, where=folder)
        with store:
            with _writing(folder):
                if new:
                    write_json(file, manifest.as_dict())
                    create_secret(folder)
                elif not found.has_bundle:  # the same bundle is now elsewhere
                    write_json(file, replace(found, bundle_path=manifest.bundle_path).as_dict())
            yield store


def write_bundle_path(folder: Path, place: str | None) -> None:
    """Write into the manifest of an index where its bundle is now; see `IndexManifest`.

    Raises:
        IndexingError: there is no index, another process has it open, or it cannot be written.
    """
    read_manifest(folder)  # before the lock, whose file would be created
    with _locked(folder), _writing(folder):
        changed = replace(read_manifest(folder), bundle_path=place)
        write_json(folder / "index.json", changed.as_dict())


@contextmanager
def locked_to_read(folder: Path) -> Iterator[None]:
    """Hold the lock of an index while its files are read, also if it cannot be written.

    Raises:
        InUseError: another process has the index open.
    """
    with _locked(folder, write=os.access(folder, os.W_OK)):
        yield


@contextmanager
def next_store(folder: Path) -> Iterator[int]:
    """Hold all locks of an index while a store is put into it that replaces its present one.

    Yields:
        The number of the generation of the new store; 0 for a new index, whose folder is created.

    Raises:
        IndexingError: another process has the index open or rebuilds it, or the folder contains
            other files or cannot be written.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with rebuilding(folder), _locked(folder):
        if (folder / "index.json").exists():
            number = read_manifest(folder).generation + 1
            shutil.rmtree(generation_folder(folder, number), ignore_errors=True)
            yield number
        else:
            _clear(folder)
            yield 0


def discard_store(folder: Path) -> None:
    """Remove the manifest of an index, so that the next `create_store` creates it again, with its
    secret.

    Raises:
        IndexingError: another process has the index open or rebuilds it, or the folder cannot be
            written.
    """
    with rebuilding(folder), _locked(folder), _writing(folder):
        (folder / "index.json").unlink()
        sync_folder(folder)


@contextmanager
def rebuilding(folder: Path) -> Iterator[None]:
    """Hold the lock of the process that fills the next generation.

    Raises:
        IndexingError: another process rebuilds the index, or the folder cannot be written.
    """
    with _writing(folder):
        try:
            file = lock_file(folder / "rebuild")
        except BlockingIOError as error:
            raise IndexingError(
                f"{folder}: another process is rebuilding this index; wait until it ends, or stop "
                "it"
            ) from error
    with file:
        yield


def use_generation(folder: Path, manifest: IndexManifest) -> None:
    """Take the generation of a manifest into use; the caller holds the lock of the index."""
    with _writing(folder):
        write_json(folder / "index.json", manifest.as_dict())


def _commit(folder: Path, generation: int, count: int | None) -> None:
    """Write the number of points into the manifest; None while the index is changed."""
    found = read_manifest(folder)
    if found.generation != generation:  # a new one is in use, and this one is being closed
        return
    manifest = replace(found, points=count, format_version=FORMAT_VERSION)
    with _writing(folder):
        write_json(folder / "index.json", manifest.as_dict())


def _check_generation(folder: Path, manifest: IndexManifest) -> None:
    if read_manifest(folder).generation != manifest.generation:
        raise ReplacedError(folder)


def _why_not_writable(folder: Path, manifest: IndexManifest) -> str | None:
    return why_not_writable(folder) or why_not_writable(store_folder(folder, manifest.generation))


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
    refuse_other_files(folder)
    generations = [path for path in folder.iterdir() if is_generation(path)]
    for place in (store_folder(folder, 0), *generations):
        shutil.rmtree(place, ignore_errors=True)


def refuse_other_files(folder: Path) -> None:
    """Raise `IndexingError` if a folder is none, or contains files other than those of an index."""
    with _writing(folder):
        found = list(folder.iterdir())
    others = sorted(
        path.name for path in found if path.name not in _OWN and not is_generation(path)
    )
    if others:
        raise IndexingError(
            f"{folder}: contains other files ({others[0]}) and no index; choose a new or empty "
            "folder for the index"
        )


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
            raise InUseError(folder) from error
    with file:
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IndexingError(f"{folder}: cannot be written ({error.strerror or error})") from error
