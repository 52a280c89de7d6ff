"""What an index has to read: the result of a comparison of its photos with those of a source."""

from copy import deepcopy
from dataclasses import dataclass

from hgan.index.report import IndexReport
from hgan.sources.types import Listing, Photo


@dataclass(frozen=True)
class Changes:
    """The result of a comparison of a source with the index."""

    listing: Listing
    changed: dict[str, Photo]
    """New and changed photos by path."""
    revision: int
    """Revision of the index before the photos were listed."""

    def report(self) -> IndexReport:
        """What is known before a photo has been read."""
        listing = self.listing
        return IndexReport(
            unchanged=len(listing.photos) - len(self.changed),
            skipped=dict(listing.skipped),
            left_out=deepcopy(listing.left_out),
            sidecars=len(listing.sidecars()),
            absent=dict(listing.absent),
        )
