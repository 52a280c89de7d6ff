"""Repair an index: encode damaged items again, and add missing ones."""

from dataclasses import dataclass
from pathlib import Path

from hgan.index.folders import source_of
from hgan.index.indexer import index_source
from hgan.index.report import IndexReport
from hgan.index.store import folder
from hgan.index.store.contract import BrokenError
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import is_address, read_manifest
from hgan.index.texts import index_texts
from hgan.index.verify import verify_index
from hgan.runtime.bundle import Bundle


@dataclass
class Repair:
    """The result of a repair; see `repair_index`."""

    report: IndexReport
    """What was encoded again (`updated`) and added."""
    lost: str = ""
    """Why the engine could not read its files, so that the index was created again; or empty."""


def repair_index(to: Path | str, bundle: Bundle | None = None) -> Repair:
    """Verify an index, then bring it up to date with its photos or texts.

    If the engine can no longer read its files, the index is created again; then the tags that users
    added are lost, but not the ids of photos.

    Args:
        to: the index, a folder or the address of a collection on a server.
        bundle: the model that made it; by default from the folder where it was.

    Raises:
        IndexingError: there is no index, its manifest is damaged, it was made with another bundle,
            another process has it open, or it cannot be written.
        BundleError: the bundle that it was made with is missing or damaged.
        HganError: its photos or texts are no longer where they were.
    """
    target = to if is_address(to) else Path(to)
    manifest, lost = read_manifest(target), ""
    bundle = bundle or manifest.load_bundle()
    manifest.check_bundle(target, IndexManifest.of(manifest.root, bundle))
    try:
        verify_index(target)
    except BrokenError as error:
        lost = error.reason
        folder.discard_store(Path(to))
    if manifest.holds == "texts":
        return Repair(index_texts(manifest.root, target, bundle, manifest.quantize), lost)
    return Repair(
        index_source(
            source_of(manifest),
            target,
            bundle,
            manifest.quantize,
            regions=manifest.regions,
            exclude=manifest.exclude,
        ),
        lost,
    )
