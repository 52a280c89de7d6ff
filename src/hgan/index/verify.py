"""Verify an index: compare the stored vectors of every item with their checksums.

Damaged items are marked in the index, and the next indexing run encodes just these again.
"""

from dataclasses import dataclass, field
from pathlib import Path

from hgan.index.store.open import is_address, open_store, read_manifest
from hgan.progress import progress

_MARK = 500
"""Damaged items that are marked together."""


@dataclass
class Verification:
    """The result of a verification; see `verify_index`."""

    root: str
    """The photos or texts of the index."""
    intact: int = 0
    unchecked: int = 0
    """Items without checksums, because an older version of hgan has stored them."""
    missing: int = 0
    """Items that were in the index when it was last closed, and no longer are."""
    damaged: list[str] = field(default_factory=list)
    """Paths of photos, or the texts."""

    @property
    def good(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.damaged and not self.missing


def verify_index(to: Path | str) -> Verification:
    """Read the vectors of every item, and compare them with their checksums.

    Damaged items are marked, so that `index_folder` or `index_texts` encodes them again.

    Args:
        to: the index, a folder or the address of a collection on a server.

    Raises:
        IndexingError: there is no index, another process has it open, its files or its manifest
            are so damaged that it cannot be opened, or damaged items cannot be marked.
    """
    target = to if is_address(to) else Path(to)
    manifest = read_manifest(target)
    result, keys = Verification(manifest.root), list[str]()
    with open_store(target, manifest, check=False) as store:
        count = store.count()
        if manifest.points is not None:
            result.missing = max(manifest.points - count, 0)
        with progress("verify", total=count, unit="items") as bar:
            for entry, state in store.verify():
                if state == "damaged":
                    keys.append(entry.id)
                    result.damaged.append(entry.text or entry.path)
                result.intact += state == "intact"
                result.unchecked += state == "unchecked"
                bar.advance(1)
        for start in range(0, len(keys), _MARK):
            store.mark_damaged(keys[start : start + _MARK])
    return result
