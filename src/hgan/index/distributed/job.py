"""What every machine of a cluster has to know to encode photos for an index."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hgan.errors import IndexingError
from hgan.index.folders import source_of
from hgan.index.store.contract import Store
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import create_store
from hgan.runtime.bundle import Bundle
from hgan.runtime.device import VARIABLE
from hgan.runtime.region_grid import pooled
from hgan.runtime.session import THREADS
from hgan.sources.types import Source
from hgan.version import __version__


@dataclass(frozen=True)
class Job:
    """An index that is being written; machines open its parts for themselves."""

    to: str
    """Address of the collection."""
    manifest: IndexManifest
    """Its manifest."""
    bundle: Path | None
    """Folder of the bundle; None for the one that ships with hgan."""
    device: str | None
    """What encodes the photos, see `hgan.runtime.device`; None for the worker's own choice."""
    moved: Mapping[str, tuple[str, ...]]
    """User tags of photos whose files are missing, by digest."""
    cores: int = 1
    """Processor cores of a worker."""
    version: str = __version__

    def take_place(self) -> None:
        """Let this process be a worker: one of several on its machine."""
        os.environ[THREADS] = str(self.cores)
        if self.device is not None:
            os.environ[VARIABLE] = self.device

    def open_source(self) -> Source:
        """The photos."""
        source = source_of(self.manifest).excluding(self.manifest.exclude or ())
        if source.threads is None:
            source.threads = self.cores
        return source

    def load_bundle(self) -> Bundle:
        """The model, with the regions of the index.

        Raises:
            BundleError: it is missing or damaged here.
            IndexingError: it is another one.
        """
        bundle = Bundle.load(self.bundle)
        if bundle.id != self.manifest.bundle:
            raise IndexingError(
                f"{bundle.folder}: bundle {bundle.name} ({bundle.id}), but the index has "
                f"{self.manifest.bundle_name} ({self.manifest.bundle}); copy that one here"
            )
        return pooled(bundle, self.manifest.regions)

    @contextmanager
    def open_store(self) -> Iterator[Store]:
        """A connection of this process's own, which waits for a server that is down."""
        with create_store(self.to, self.manifest) as store:
            yield store
