"""Build an index anew, such as with another model, while the old one is searched.

A new generation is filled beside the old one, as an index of its own, so a run that was killed is
continued. When it is whole, it gets what has changed in the old one meanwhile, and replaces it; see
`hgan.index.store.generations` for a folder, and `hgan.index.store.aliases` for a server.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hgan.errors import IndexingError
from hgan.index.indexer import index_folder
from hgan.index.report import IndexReport
from hgan.index.store.manifest import IndexManifest, Quantize
from hgan.index.store.open import Target, is_address, read_manifest
from hgan.index.texts import index_texts
from hgan.runtime.bundle import Bundle
from hgan.runtime.region_grid import pooled
from hgan.sources.open import open_source
from hgan.sources.rules import Rules


@dataclass
class Rebuild:
    """The result of a rebuild; see `rebuild_index`."""

    report: IndexReport
    """What the new generation was filled with by this run."""
    lost: str = ""
    """Why the old generation could not be read, so that its user tags are lost; or empty."""


@dataclass(frozen=True)
class Plan:
    """The new generation of an index, before it is filled."""

    target: Target
    """The index."""
    manifest: IndexManifest
    bundle: Bundle

    def fill(self, place: Target) -> IndexReport:
        """Fill the new generation, or bring it up to date.

        Args:
            place: where it is, as an index of its own.
        """
        new = self.manifest
        if new.holds == "texts":
            return index_texts(new.root, place, self.bundle, new.quantize)
        return index_folder(
            new.root, place, self.bundle, new.quantize, regions=new.regions, exclude=new.exclude
        )

    def matches(self, place: Target) -> bool:
        """Whether the generation in `place` has these settings.

        Raises:
            IndexingError: there is no index, or it is damaged.
        """
        found, new = read_manifest(place), self.manifest
        return all(
            getattr(found, name) == getattr(new, name)
            for name in ("root", "bundle", "dense", "local", "quantize", "regions", "holds")
        )

    def check(self, place: Target) -> None:
        """Raise `IndexingError` unless an interrupted run in `place` can be continued."""
        if not self.matches(place):
            found = read_manifest(place)
            raise IndexingError(
                f"{self.target}: a rebuild with {found.bundle_name}, {found.quantize or 'float16'} "
                f"and {found.regions or 'all'} regions was interrupted; continue it with the same "
                f"options, or remove {place} to start with others"
            )


def rebuild_index(
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | Literal["none"] | None = None,
    regions: int | None = None,
    exclude: list[str] | None = None,
    root: Path | str | None = None,
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
        from hgan.index.rebuild_collection import rebuild_collection

        return rebuild_collection(plan, waiting)
    from hgan.index.rebuild_folder import rebuild_folder

    return rebuild_folder(plan, waiting)


def _check_root(target: Target, old: IndexManifest, root: Path | str) -> None:
    given = Path(root) if old.holds == "texts" else open_source(root).root
    if (given if isinstance(given, str) else str(given.resolve())) != old.root:
        raise IndexingError(
            f"{target}: contains the {old.holds} of {old.root}; index {root} into another index"
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
    new = IndexManifest.of(old.root, bundle, form, old.holds, regions, rules)
    return Plan(target, new, bundle)
