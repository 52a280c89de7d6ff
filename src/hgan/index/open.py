"""Open an index for writing: load and check the model, create the index if it does not exist; and
remember where the model is now.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hgan.errors import IndexingError
from hgan.index.store.contract import Store
from hgan.index.store.manifest import Holds, IndexManifest, Quantize
from hgan.index.store.open import (
    Target,
    create_store,
    is_address,
    read_manifest,
    write_bundle_path,
)
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
    exclude: tuple[str, ...] | None = None,
    folders: Mapping[str, Path] | None = None,
) -> Iterator[tuple[Store, Bundle, IndexManifest]]:
    """Open or create an index; yields its store, the bundle with the index's regions, and its
    manifest.

    Args:
        root: the folder or address of the photos, or the file of the texts.
        to: the index, a folder or the address of a collection on a server.
        bundle: the model, or its folder; by default that of the index if it exists, or else the
            bundle that ships with hgan.
        quantize: format of the vectors of a new index, see `IndexManifest`.
        holds: whether the index contains photos or texts.
        regions: number of local vectors per photo of a new index, see `IndexManifest`.
        exclude: rules for files to leave out; None for those of the index.
        folders: further folders of photos by name, which are added to those of the index.

    Raises:
        BundleError: the bundle is missing or damaged.
        ConfigError: the model's regions cannot be pooled to this number.
        IndexingError: the index contains other items, was made with another bundle, is open in
            another process, or cannot be written.
    """
    target = to if is_address(to) else Path(to)
    if bundle is None:
        bundle = _own_bundle(target)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    pooled(bundle, regions)  # raises before anything is created
    wanted = IndexManifest.of(root, bundle, quantize, holds, regions, exclude, folders)
    with create_store(target, wanted) as store:
        manifest = read_manifest(target)
        yield store, pooled(bundle, manifest.regions), manifest


def remember_model(to: Path | str, bundle: Bundle) -> None:
    """Remember where the model of an index is now.

    `open_to_write` does this by itself for an index in a folder whose model is no longer where it
    was, but not for one on a server: other machines may still have the model there.

    Args:
        to: the index, a folder or the address of a collection on a server.
        bundle: the model that made the index, from its new place.

    Raises:
        IndexingError: there is no index, it was made with another bundle, is open in another
            process, or cannot be written.
    """
    target = to if is_address(to) else Path(to)
    manifest = read_manifest(target)
    wanted = IndexManifest.of(manifest.root, bundle)
    manifest.check_bundle(target, wanted)
    write_bundle_path(target, wanted.bundle_path)


def kept_rules(to: Path | str) -> tuple[str, ...]:
    """The rules for files to leave out that an index has kept; none if there is no index."""
    try:
        return read_manifest(to if is_address(to) else Path(to)).exclude or ()
    except IndexingError:
        return ()


def _own_bundle(target: Target) -> Bundle | None:
    """The model of an index; None if there is no index yet."""
    try:
        manifest = read_manifest(target)
    except IndexingError:  # a damaged index is reported when it is opened
        return None
    return manifest.load_bundle()


def optimize(store: Store) -> None:
    """Optimize an index for fast searches, and show this on the terminal."""
    with console.status("optimizing the index"):
        store.optimize()
