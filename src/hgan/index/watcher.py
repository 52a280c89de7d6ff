"""An index that follows its folder: photos that come, change or go are seen as it happens.

A change that the system tells of makes the watcher look at the whole folder, as `hgan index` does,
so that what was moved, or missed, is found as well. A photo is read once its size and time have
stayed the same for `SETTLE` seconds: what is still being written, or copied, waits.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from hgan.errors import ConfigError, HganError
from hgan.index.indexer import IndexReport, Updater, open_updater
from hgan.index.store.manifest import Quantize
from hgan.index.store.open import is_address
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import PHOTO_SUFFIXES
from hgan.sources.folder import FolderSource, find_photos
from hgan.sources.open import open_source
from hgan.sources.types import Photo

if TYPE_CHECKING:
    from watchfiles import Change

SETTLE = 1.0
"""Seconds that a photo must have stayed as it is."""
OPTIMIZE_AFTER = 2000
"""Changes until the index is arranged again; so many are compared one by one in no time."""

_BURST = 1000
"""Milliseconds in which changes are taken together."""


class News(NamedTuple):
    """What the watcher has to say: what it did, or why it could not."""

    report: IndexReport | None
    problem: str = ""


class _Look(NamedTuple):
    """A photo that was new or changed, as it was seen first."""

    size: int
    mtime: int
    since: float


class Watcher:
    """Keeps an open index up to date with its folder; the index may be searched meanwhile."""

    def __init__(self, root: Path, updater: Updater, ignore: Path | None = None) -> None:
        """Watch a folder.

        Args:
            root: the folder.
            updater: of the open index.
            ignore: a folder whose changes mean nothing, as that of the index itself.

        Raises:
            ConfigError: the library for it is not installed.
        """
        try:
            import watchfiles  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"watching a folder needs watchfiles ({error}); pip install 'hgan[watch]'"
            ) from error
        self._root = root.resolve()
        self._updater = updater
        self._ignore = ignore.resolve() if ignore else None
        self._waiting: dict[str, _Look] = {}
        self._bad: dict[str, tuple[int, int]] = {}
        self._told: dict[str, str] = {}
        self._changes = 0

    @property
    def waits(self) -> bool:
        """Whether photos have changed that had not settled at the last look."""
        return bool(self._waiting)

    def follow(self, tell: Callable[[News], object], stop: Event | None = None) -> None:
        """Look at the folder whenever something happens in it, until told to stop.

        Args:
            tell: is called with what was done, where anything was, and with what went wrong,
                once; after a problem the watcher tries again.
            stop: ends it; without one, Ctrl-C does.
        """
        problem = ""
        while stop is None or not stop.is_set():
            unseen = True  # what came before the system was listening
            for changed in self._events(stop):
                if not (changed or unseen or self.waits or problem):
                    continue
                try:
                    report = self.look()
                except HganError as error:  # the folder is not mounted, or a server is down
                    if str(error) != problem:
                        problem = str(error)
                        tell(News(None, problem))
                    continue
                unseen = False
                if report.added or report.updated or report.removed or report.skipped:
                    tell(News(report))
                if problem:  # listen anew: where a disk was taken out, the folder is another
                    problem = ""
                    break

    def _events(self, stop: Event | None) -> Iterator[bool]:
        """Whether something has happened in the folder, at least once every `SETTLE` seconds."""
        from watchfiles import watch

        bursts = watch(
            self._root,
            watch_filter=self._concerns,
            debounce=_BURST,
            step=100,
            stop_event=stop,
            rust_timeout=round(1000 * SETTLE),
            yield_on_timeout=True,
            raise_interrupt=stop is None,
        )
        return (bool(changes) for changes in bursts)

    def look(self) -> IndexReport:
        """Bring the index up to date with all photos that have settled.

        Returns:
            What was done; skipped are those that were not told of before.

        Raises:
            HganError: see `index_folder`.
        """
        report = IndexReport()
        photos, unread = find_photos(self._root, report.skipped)
        changed = {p.path: p for p in photos if not self._updater.is_unchanged(p)}
        self._bad = {path: was for path, was in self._bad.items() if _is(changed.get(path), was)}
        self._waiting = self._unsettled(changed)
        self._updater.update(photos, unread, report, self._waiting.keys() | self._bad.keys())
        self._bad |= {
            path: (photo.size, photo.mtime)
            for path, photo in changed.items()
            if path in report.skipped
        }
        self._changes += report.added + report.updated + report.removed
        if self._changes >= OPTIMIZE_AFTER:
            self._updater.optimize()
            self._changes = 0
        told, self._told = self._told, dict(report.skipped)
        report.skipped = {k: why for k, why in report.skipped.items() if told.get(k) != why}
        return report

    def first(self, photos: list[Photo], unread: tuple[str, ...], report: IndexReport) -> None:
        """Index all that is there, whether it has settled or not; see `Updater.update`."""
        self._updater.update(photos, unread, report)
        self._updater.optimize()
        self._told = dict(report.skipped)

    def _unsettled(self, changed: dict[str, Photo]) -> dict[str, _Look]:
        """The changed photos that are not to be read yet."""
        now = monotonic()
        waiting = {}
        for path, photo in changed.items():
            if path in self._bad:
                continue
            look = self._waiting.get(path)
            if look is None or (look.size, look.mtime) != (photo.size, photo.mtime):
                waiting[path] = _Look(photo.size, photo.mtime, now)
            elif now - look.since < SETTLE:
                waiting[path] = look
        return waiting

    def _concerns(self, change: "Change", name: str) -> bool:
        """Whether a change may be one of photos: of a photo's name, or of a folder's."""
        path = Path(name)
        if self._ignore and path.is_relative_to(self._ignore):
            return False
        if any(part.startswith(".") for part in path.relative_to(self._root).parts):
            return False
        from watchfiles import Change

        return path.suffix.lower() in PHOTO_SUFFIXES or change == Change.deleted or path.is_dir()


def watch_folder(
    folder: Path | str,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    regions: int | None = None,
    tell: Callable[[News], object] = lambda _news: None,
    stop: Event | None = None,
) -> None:
    """Bring an index up to date as `index_folder` does, then keep it so until told to stop.

    The index stays open meanwhile. One in a folder is this process's alone; to search while it is
    watched, let `hgan serve --watch` do both, or put it on a server.

    Args:
        folder: the photos.
        to: the index.
        bundle: the model.
        quantize: see `index_folder`.
        regions: see `index_folder`.
        tell: is called with what was done, first and at each change.
        stop: ends it; without one, Ctrl-C does, which is raised as `KeyboardInterrupt`.

    Raises:
        ConfigError: the library for watching is not installed, or this is no folder.
        HganError: as `index_folder`, while the first pass is not done; what goes wrong later is
            told, and tried again.
    """
    source = open_source(folder)
    if not isinstance(source, FolderSource):
        raise ConfigError(f"{folder}: only folders tell of changes; index it again now and then")
    report = IndexReport()
    photos, unread = source.find(report.skipped)
    with open_updater(source, to, bundle, quantize, regions=regions) as updater:
        watcher = Watcher(source.root, updater, None if is_address(to) else Path(to))
        watcher.first(photos, unread, report)
        tell(News(report))
        watcher.follow(tell, stop)


def _is(photo: Photo | None, was: tuple[int, int]) -> bool:
    return photo is not None and (photo.size, photo.mtime) == was
