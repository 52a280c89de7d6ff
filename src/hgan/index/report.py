"""The report of an indexing run: counts of added, updated and removed items."""

from dataclasses import dataclass, field

from hgan.runtime.formats import is_video
from hgan.runtime.video import frame_paths
from hgan.sources.left_out import LeftOut


@dataclass
class IndexReport:
    """Counts of an indexing run; every file of the folder, or text of the file, is counted.

    Once, except that a video counts as its frames in the first four counts, and that `unplaced`
    photos are in one of the other counts as well."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    """Items of the index that no longer exist in the folder or the file, or cannot be read."""
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    """Files, or places in a file, that were skipped, with the reason."""
    left_out: LeftOut = field(default_factory=LeftOut)
    """Other files of the folder."""
    sidecars: int = 0
    """XMP sidecars of the photos, except those that were skipped."""
    absent: dict[str, str] = field(default_factory=dict)
    """Of several folders, those that could not be read, with the reason; their photos stay in the
    index."""
    videos: int = 0
    """Videos of which there are frames in the index."""
    unplaced: int = 0
    """Photos of the index with a position, but without a city, because there is no gazetteer."""

    @property
    def unreadable(self) -> set[str]:
        """Paths that were skipped, and those of photos that are too small; also those of the frames
        of such videos."""
        files = self.skipped.keys() | self.left_out.small
        return files.union(*(frame_paths(path) for path in files if is_video(path)))
