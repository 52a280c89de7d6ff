"""An index on disk: a folder with `index.json`, which says what it holds, above the engine's files.

INDEX/index.json    which photos, which bundle, the widths of the vectors
INDEX/lock          held by the process that has the index open
INDEX/edge/         the store
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from json import loads
from pathlib import Path
from time import monotonic, sleep

from hgan.errors import IndexingError
from hgan.files import write_json
from hgan.index.store import Store
from hgan.runtime.bundle import Bundle, default_bundle
from hgan.runtime.similarity import dense_width

FORMAT_VERSION = 1
LOCK_WAIT = 2.0
"""Seconds to wait for another process, so that two quick searches at once both succeed."""


@dataclass(frozen=True)
class IndexManifest:
    """What `index.json` says."""

    root: str
    """The folder of photos, absolute."""
    bundle: str
    """Id of the bundle that encoded them."""
    bundle_name: str
    bundle_path: str | None
    """Where that bundle was; None for the one that ships with the program."""
    dense: int
    """Width of the dense vectors."""
    local: int
    """Width of the local vectors."""
    format_version: int = FORMAT_VERSION

    @classmethod
    def of(cls, root: Path, bundle: Bundle) -> "IndexManifest":
        """What an index of these photos by this bundle says."""
        path = bundle.folder.resolve()
        config = bundle.config
        return cls(
            root=str(root.resolve()),
            bundle=bundle.id,
            bundle_name=config.name,
            bundle_path=None if path == default_bundle().resolve() else str(path),
            dense=dense_width(config.widths, config.weights),
            local=config.widths["local"] if config.weights["local"] else 0,
        )

    def check_bundle(self, folder: Path, bundle: str, name: str) -> None:
        """Raise `IndexingError` unless the bundle of this id made the index in `folder`."""
        if bundle != self.bundle:
            raise IndexingError(
                f"{folder}: made with bundle {self.bundle_name} ({self.bundle}), not with {name} "
                f"({bundle}); use that bundle, or remove the index and index again"
            )

    def check_root(self, folder: Path, root: str) -> None:
        """Raise `IndexingError` unless the index in `folder` is of the photos under `root`."""
        if root != self.root:
            raise IndexingError(
                f"{folder}: holds the photos of {self.root}; index {root} into another folder"
            )


def read_manifest(folder: Path) -> IndexManifest:
    """Read an index's `index.json`.

    Raises:
        IndexingError: there is none, or it is damaged or of a newer format.
    """
    file = folder / "index.json"
    try:
        values = loads(file.read_text(encoding="utf-8"))
        if values["format_version"] > FORMAT_VERSION:
            raise IndexingError(
                f"{file}: format version {values['format_version']}, this program reads up to "
                f"{FORMAT_VERSION}; upgrade hgan"
            )
        return IndexManifest(**values)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexingError(
            f"{folder}: no index here; make one with `hgan index PHOTOS --to {folder}`"
        ) from error
    except OSError as error:
        raise IndexingError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise IndexingError(
            f"{file}: damaged ({error}); remove the folder and index again"
        ) from error


@contextmanager
def open_store(folder: Path, manifest: IndexManifest) -> Iterator[Store]:
    """Open the store of an index for this process alone.

    Raises:
        IndexingError: another process has it open, or it is damaged.
    """
    from hgan.index.edge import EdgeStore

    with (
        _locked(folder),
        EdgeStore.load(folder / "edge", manifest.dense, manifest.local) as store,
    ):
        yield store


@contextmanager
def create_store(folder: Path, manifest: IndexManifest) -> Iterator[Store]:
    """Make an index, or open the one that is there, for this process alone.

    Raises:
        IndexingError: the folder holds other things, or another index; or another process has it
            open.
    """
    from hgan.index.edge import EdgeStore

    file = folder / "index.json"
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if new := not file.exists():
            _clear(folder)
            store = EdgeStore.create(folder / "edge", manifest.dense, manifest.local)
        else:
            found = read_manifest(folder)
            found.check_bundle(folder, manifest.bundle, manifest.bundle_name)
            found.check_root(folder, manifest.root)
            store = EdgeStore.load(folder / "edge", manifest.dense, manifest.local)
        with store:
            if new:
                with _writing(folder):
                    write_json(file, asdict(manifest))
            yield store


def _clear(folder: Path) -> None:
    """Make room for a new index; a store without index.json is one whose making was cut short."""
    others = sorted(path.name for path in folder.iterdir() if path.name not in ("lock", "edge"))
    if others:
        raise IndexingError(
            f"{folder}: holds other files ({others[0]}) and no index; give the index its own folder"
        )
    shutil.rmtree(folder / "edge", ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an index; the system lets go of it however the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows, where the engine's own lock has to do
        yield
        return
    with _writing(folder):
        file = (folder / "lock").open("wb")
    with file:
        patience = monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if monotonic() > patience:
                    raise IndexingError(
                        f"{folder}: another process is using this index; wait for it or end it"
                    ) from error
                sleep(0.05)
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IndexingError(f"{folder}: cannot be written ({error.strerror or error})") from error
