"""An index on disk: a folder with the manifest and the engine's files.

INDEX/index.json    the manifest, see `IndexManifest`
INDEX/secret        see `hgan.index.store.secret`
INDEX/lock          held by the process that has the index open
INDEX/edge/         the store
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from json import loads
from pathlib import Path
from time import monotonic, sleep

from hgan.errors import IndexingError
from hgan.files import write_json
from hgan.index.store.contract import Store
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.secret import create_secret

LOCK_WAIT = 2.0
"""Seconds to wait for another process, so that two short searches at the same time both succeed."""


def read_manifest(folder: Path) -> IndexManifest:
    """Read the manifest of an index.

    Raises:
        IndexingError: there is no index, or its manifest is damaged or of a newer format.
    """
    file = folder / "index.json"
    try:
        values = loads(file.read_text(encoding="utf-8"))
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
def open_store(folder: Path, manifest: IndexManifest) -> Iterator[Store]:
    """Open the store of an index, for this process only.

    Raises:
        IndexingError: another process has the index open, or it is damaged.
    """
    from hgan.index.store.edge import EdgeStore

    with (
        _locked(folder),
        EdgeStore.load(folder / "edge", manifest.dense, manifest.local) as store,
    ):
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
            widths = manifest.dense, manifest.local
            store = EdgeStore.create(folder / "edge", *widths, manifest.quantize)
        else:
            read_manifest(folder).check_same(folder, manifest)
            store = EdgeStore.load(folder / "edge", manifest.dense, manifest.local)
        with store:
            if new:
                with _writing(folder):
                    write_json(file, asdict(manifest))
                    create_secret(folder)
            yield store


def _clear(folder: Path) -> None:
    """Prepare the folder of a new index.

    A store without `index.json` comes from an interrupted creation, and is deleted.

    Raises:
        IndexingError: the folder contains other files.
    """
    others = sorted(path.name for path in folder.iterdir() if path.name not in ("lock", "edge"))
    if others:
        raise IndexingError(
            f"{folder}: contains other files ({others[0]}) and no index; choose a new or empty "
            "folder for the index"
        )
    shutil.rmtree(folder / "edge", ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an index; the operating system releases it even if the process is killed."""
    try:
        import fcntl
    except ImportError:  # Windows, where only the engine's own lock is used
        yield
        return
    with _writing(folder):
        file = (folder / "lock").open("wb")
    with file:
        deadline = monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if monotonic() > deadline:
                    raise IndexingError(
                        f"{folder}: another process is using this index; wait until it ends, or "
                        "stop it"
                    ) from error
                sleep(0.05)
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IndexingError(f"{folder}: cannot be written ({error.strerror or error})") from error
