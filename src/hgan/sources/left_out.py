"""Files of a folder that are left out of an index, counted by reason.

Files that look like photos but cannot be read are not counted here: they are listed by name.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from hgan.errors import DataError
from hgan.runtime.formats import VIDEO, Kind, is_video, kind_of
from hgan.runtime.images import TooSmallError
from hgan.runtime.video import file_of

LEAST_SIDE = 64
"""Photos with a side of fewer pixels are left out: icons, trackers, buttons."""

_MOST_SHOWN = 6
"""Number of suffixes or rules in a line."""
_LONGEST_SUFFIX = 10
"""Number of characters; what is longer is the end of a sentence with a dot."""


@dataclass
class LeftOut:
    """Numbers of files that are left out."""

    ignored: Counter[str] = field(default_factory=Counter)
    """Files that a rule ignores, and those in folders that a rule ignores, by rule; see
    `hgan.sources.rules`."""
    small: set[str] = field(default_factory=set)
    """Paths of photos with a side shorter than `LEAST_SIDE`."""
    beside: int = 0
    """RAW photos beside a photo of the same name, which is indexed."""
    clips: int = 0
    """Clips of Live Photos, whose photos are indexed."""
    unreadable: Counter[Kind] = field(default_factory=Counter)
    """Files that can be read once an extra of this package is installed, by kind."""
    videos: int = 0
    """Videos in a place where only photos are read."""
    others: Counter[str] = field(default_factory=Counter)
    """Files that are not photos, by suffix in lower case; empty for a name without one."""

    @property
    def total(self) -> int:
        """The number of files."""
        counts = (self.ignored, self.unreadable, self.others)
        alone = self.beside + self.clips + self.videos + len(self.small)
        return alone + sum(one.total() for one in counts)

    def add(self, name: str) -> None:
        """Count a file that is not a photo, or of a kind that cannot be read here."""
        suffix = PurePath(name).suffix.lower()
        if kind := kind_of(name):
            self.unreadable[kind] += 1
        elif is_video(name) and VIDEO.readable:
            self.videos += 1
        elif is_video(name):
            self.unreadable[VIDEO] += 1
        else:
            self.others[suffix if len(suffix) <= _LONGEST_SUFFIX else ""] += 1

    def add_all(self, other: "LeftOut", prefix: str) -> None:
        """Add the files of another folder, whose paths begin with `prefix`."""
        self.ignored += other.ignored
        self.small |= {prefix + path for path in other.small}
        self.beside += other.beside
        self.clips += other.clips
        self.unreadable += other.unreadable
        self.videos += other.videos
        self.others += other.others

    def reasons(self) -> list["Reason"]:
        """Each reason with its number of files."""
        reasons = [
            Reason(count, f"{_some(count, kind.name)}; to read them: {kind.advice}")
            for kind, count in self.unreadable.most_common()
        ]
        if self.videos:
            videos = _some(self.videos, "videos")
            reasons.append(Reason(self.videos, f"{videos}, which are read in folders only"))
        if self.ignored:
            reasons.append(Reason(self.ignored.total(), f"ignored: {_listed(self.ignored)}"))
        if self.beside:
            photos = _some(self.beside, "RAW photos")
            reasons.append(Reason(self.beside, f"{photos} beside a photo of the same name"))
        if self.clips:
            clips = _some(self.clips, "short videos")
            reasons.append(
                Reason(self.clips, f"{clips} beside a photo of the same name, as in Live Photos")
            )
        if self.small:
            reasons.append(Reason(len(self.small), f"with a side below {LEAST_SIDE} pixels"))
        if self.others:
            reasons.append(Reason(self.others.total(), f"not photos: {_listed(self.others)}"))
        return reasons


@dataclass(frozen=True)
class Reason:
    """Why files are left out."""

    count: int
    text: str
    """The reason, and what can be done; it completes the number."""

    def __str__(self) -> str:
        return f"{self.count:,} {self.text}"


def note_failed(path: str, error: DataError, skipped: dict[str, str], left_out: LeftOut) -> None:
    """Record a photo that cannot be indexed: as left out if it is small, or else as skipped.

    The frames of a video are recorded once, with the path of the video."""
    path = file_of(path)
    if isinstance(error, TooSmallError):
        left_out.small.add(path)
    else:
        skipped[path] = str(error)


def _some(count: int, plural: str) -> str:
    """A noun without its number, as `photo` or `photos`."""
    return plural if count != 1 else plural.removesuffix("s")


def _listed(counts: Counter[str]) -> str:
    """The most frequent items with their counts, such as `.txt 12, .mp3 3, others 2`."""
    shown = counts.most_common(_MOST_SHOWN)
    rest = counts.total() - sum(count for _, count in shown)
    parts = [f"{name or 'no suffix'} {count:,}" for name, count in shown]
    return ", ".join([*parts, f"others {rest:,}"] if rest else parts)
