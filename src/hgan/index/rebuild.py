"""Build an index anew, such as with another model, while the old one is searched.

A new generation is filled beside the old one, as an index of its own, so a run that was killed is
continued. When it is whole, it gets what has changed in the old one meanwhile, and replaces it; see
`hgan.index.store.generations` for a folder, and `hgan.index.store.aliases` for a server.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from hgan.errors import IndexingError
from hgan.index.folders import Folders
from hgan.index.plan import Plan, Rebuild
from hgan.index.rebuild_folder import rebuild_folder
from hgan.index.store.manifest import IndexManifest, Quantize
from hgan.index.store.open import Target, is_address, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.runtime.region_grid import pooled
from hgan.sources.open import open_source
from hgan.sources.rules import Rules


def rebuild_index(
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | Literal["none"] | None = None,
    regions: int | None = None,
    exclude: list[str] | None = None,
    root: Folders | None = None,
    waiting: Callable[[str], object] = lambda _why: None,
) -> Rebuild:
    """Build an index anew, and replace the old one when the new one is whole.

    The old one can be searched until then, and a service goes over to the new one by itself. User
    tags, and photos that are added meanwhile, are kept. If the run is killed, the old index is as
    it was, or the new one is in use; the next run with the same options goes on.

    Args:
        to: the index, a folder or the address of a collection on a server.
        bundle: the model, or its folder; by default that of the index.
        quantize: format of the vectors, see `IndexManifest`; `none` for float16. By default that of
            the index.
        regions: number of local vectors per photo; by default that of the index.
        exclude: rules for files to leave out; by default those of the index.
        root: the photos or texts, which must be those of the index; by default those.
        waiting: called once with a message if this waits for a process that has the index open.

    Raises:
        IndexingError: there is no index, another process rebuilds it, a rebuild with other options
            was interrupted, or it cannot be written.
        BundleError: the bundle is missing or damaged.
        ConfigError: the model's regions cannot be pooled to this number.
        HganError: the photos or texts are no longer where they were.
    """
    target = to if is_address(to) else Path(to)
    old = read_manifest(target)
    if root is not None:
        _check_root(target, old, root)
    plan = _plan(target, old, bundle, quantize, regions, exclude)
    if is_address(target):
        # The client of a server is an extra.
        from hgan.index.rebuild_collection import rebuild_collection

        return rebuild_collection(plan, waiting)
    return rebuild_folder(plan, waiting)


def _check_root(target: Target, old: IndexManifest, root: Folders) -> None:
    stored = {str(place) for place in old.roots.by_name.values()}
    for one in [root] if isinstance(root, Path | str) else root:
        given = Path(one) if old.holds == "texts" else open_source(one).root
        if (given if isinstance(given, str) else str(given.resolve())) not in stored:
            raise IndexingError(
                f"{target}: contains the {old.holds} of {old.roots}; index {one} into another index"
            )


def _plan(
    target: Target,
    old: IndexManifest,
    bundle: Bundle | Path | None,
    quantize: Quantize | Literal["none"] | None,
    regions: int | None,
    exclude: list[str] | None,
) -> Plan:
    if bundle is None:
        bundle = old.load_bundle()
        old.check_bundle(target, IndexManifest.of(old.root, bundle))
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    regions = old.regions if regions is None else regions
    pooled(bundle, regions)  # raises before anything is created
    rules = old.exclude if exclude is None else Rules.of(exclude).exclude
    form = old.quantize if quantize is None else None if quantize == "none" else quantize
    new = IndexManifest.of(old.root, bundle, form, old.holds, regions, rules, old.folders)
    return Plan(target, new, bundle)
