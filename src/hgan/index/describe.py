"""Describe an index and its model, without opening the store, which another process may use."""

from pathlib import Path
from typing import Any

from hgan.errors import BundleError
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import Target, is_address, read_manifest
from hgan.index.store.snapshot import space_used
from hgan.runtime.bundle import Bundle


def describe_index(target: Target) -> dict[str, Any]:
    """What an index contains, and the model that made it, as JSON values.

    Raises:
        IndexingError: there is no index, or its manifest is damaged or of a newer format.
    """
    manifest = read_manifest(target)
    return {
        "index": str(target),
        manifest.holds: manifest.root,
        "folders": None if manifest.folders is None else dict(manifest.folders),
        "count": manifest.points,
        "bytes": None if is_address(target) else space_used(Path(target)),
        "quantize": manifest.quantize,
        "regions": manifest.regions,
        **_model_of(manifest),
    }


def describe_model(bundle: Bundle) -> dict[str, Any]:
    """The name, the languages, the levels and the folder of a model, as JSON values."""
    return {
        "model": bundle.name,
        "id": bundle.id,
        "languages": list(bundle.languages),
        "levels": {level: bundle.weights[level] for level in bundle.levels},
        "widths": bundle.widths,
        "bundle": str(bundle.folder),
    }


def _model_of(manifest: IndexManifest) -> dict[str, Any]:
    try:
        return describe_model(manifest.load_bundle())
    except BundleError as error:
        return {"model": manifest.bundle_name, "id": manifest.bundle, "problem": str(error)}
