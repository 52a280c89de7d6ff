"""Opens an index to write to it: loads and checks the model, creates the index if there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hgan.index.store.contract import Store
from hgan.index.store.manifest import Holds, IndexManifest, Quantize
from hgan.index.store.open import create_store, is_address, read_manifest
from hgan.progress import console
from hgan.runtime.bundle import Bundle
from hgan.runtime.region_grid import pooled


@contextmanager
def open_to_write(
    root: Path | str,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    holds: Holds = "photos",
    regions: int | None = None,
) -> Iterator[tuple[Store, Bundle]]:
    """The store of an index, and the bundle as the index uses it.

    Args:
        root: the folder or address of the photos, or the file of the texts.
        to: the index, a folder or the address of a collection on a server.
        bundle: the model, or its folder; by default the one that ships with the program.
        quantize: of a new index, see `IndexManifest`.
        holds: photos or texts.
        regions: of a new index, see `IndexManifest`.

    Raises:
        BundleError: the bundle is missing or damaged.
        ConfigError: the model cannot have so many regions.
        IndexingError: the index is of other items or another bundle, is open elsewhere, or cannot
            be written.
    """
    target = to if is_address(to) else Path(to)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    bundle.check()
    pooled(bundle, regions)  # raises before anything is created
    manifest = IndexManifest.of(root, bundle, quantize, holds, regions)
    with create_store(target, manifest) as store:
        yield store, pooled(bundle, read_manifest(target).regions)


def optimize(store: Store) -> None:
    """Bring an index into the form that is fastest to search, and say so on the screen."""
    with console.status("optimizing the index"):
        store.optimize()
