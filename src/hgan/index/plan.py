"""The plan of a rebuild: the settings of the new generation, and how it is filled."""

from dataclasses import dataclass

from hgan.errors import IndexingError
from hgan.index.folders import source_of
from hgan.index.indexer import index_source
from hgan.index.report import IndexReport
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import Target, read_manifest
from hgan.index.texts import index_texts
from hgan.runtime.bundle import Bundle
from hgan.sources.folders import check_each


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
        source = source_of(new)
        check_each(source.excluding(new.exclude or ()))
        return index_source(
            source, place, self.bundle, new.quantize, regions=new.regions, exclude=new.exclude
        )

    def matches(self, place: Target) -> bool:
        """Whether the generation in `place` has these settings.

        Raises:
            IndexingError: there is no index, or it is damaged.
        """
        found, new = read_manifest(place), self.manifest
        return all(
            getattr(found, name) == getattr(new, name)
            for name in (
                *("root", "folders", "bundle", "dense", "local"),
                *("quantize", "regions", "holds"),
            )
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
