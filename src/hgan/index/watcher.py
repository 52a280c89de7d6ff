"""Keep an index up to date with its folders: detect added, changed and removed photos.

When the system reports a change, the watcher lists all folders, as `hgan index` does, so that
moved and missed photos are found as well. A photo is read once its size and time have stayed the
same for `SETTLE` seconds, so that files are not read while they are written or copied.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple

from hgan.errors import ConfigError, HganError
from hgan.index.folders import Folders, open_photos
from hgan.index.indexer import open_writer
from hgan.index.report import IndexReport
from hgan.index.store.contract import ReplacedError
from hgan.index.store.manifest import Quantize
from hgan.index.store.open import is_address
from hgan.index.writer import Changes, IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.runtime.formats import is_video, kind_of
from hgan.sources.folder import FolderSource
from hgan.sources.folders import FoldersSource
from hgan.sources.roots import Roots
from hgan.sources.rules import IGNORE_FILE
from hgan.sources.sidecars import is_sidecar_name
from hgan.sources.types import Photo, Source

if TYPE_CHECKING:
    from watchfiles import Change

SETTLE = 1.0
"""Seconds that the size and time of a photo must stay the same before it is read."""
OPTIMIZE_AFTER = 2000
"""Number of changes after which the index is optimized; fewer hardly slow down a search."""

_BURST = 1000
"""Milliseconds within which changes are handled together."""


Opening = Callable[[], AbstractContextManager[IndexWriter]]


class WatchEvent(NamedTuple):
    """An event of the watcher: the report of an update, or a problem."""

    report: IndexReport | None
    problem: str = ""


class _Seen(NamedTuple):
    """State of a new or changed photo and its sidecars, and when it was first seen."""

    state: tuple[int, int, str]
    since: float


class Watcher:
    """Keeps an index up to date with its folders; the index may be searched meanwhile."""

    def __init__(self, roots: Roots, opening: Opening, ignore: Path | None = None) -> None:
        """Watch folders.

        Args:
            roots: the folders.
            opening: opens the writer of the index for an update, and closes it after that if
                nothing else uses it.
            ignore: a folder whose changes are ignored, such as that of the index itself.

        Raises:
            ConfigError: watchfiles is not installed.
        """
        try:
            import watchfiles  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"watching a folder needs watchfiles ({error}); pip install 'hgan[watch]'"
            ) from error
        self._roots = roots
        self._watched = [Path(folder) for folder in roots.by_name.values()]
        self._opening = opening
        self._ignore = ignore.resolve() if ignore else None
        self._unsettled: dict[str, _Seen] = {}
        self._unreadable: dict[str, tuple[int, int, str]] = {}
        self._reported: dict[str, str] = {}
        self._absent: dict[str, str] = {}
        self._changes = 0
        self._ignored: tuple[str, ...] = ()

    @property
    def has_unsettled(self) -> bool:
        """Whether there were changed photos at the last check that had not settled yet."""
        return bool(self._unsettled)

    def follow(self, on_event: Callable[[WatchEvent], object], stop: Event | None = None) -> None:
        """Check the folder whenever something changes in it, until stopped.

        Args:
            on_event: called with the report of each update that changed something, and once with
                each problem; after a problem the watcher tries again.
            stop: stops the watcher when it is set; without it, Ctrl-C stops the watcher.

        Raises:
            ReplacedError: a new generation of the index has replaced this one.
        """
        problem = ""
        while stop is None or not stop.is_set():
            first = True  # the folder may have changed before watching started
            before = self._identities()
            for changed in self._events(stop):
                if self._identities() != before:  # a disk was plugged in, or out
                    break
                if not (changed or first or self.has_unsettled or problem):
                    continue
                try:
                    report = self.look()
                except ReplacedError:
                    raise
                except HganError as error:  # the folder is not mounted, or a server is down
                    if str(error) != problem:
                        problem = str(error)
                        on_event(WatchEvent(None, problem))
                    continue
                first = False
                if (
                    report.added
                    or report.updated
                    or report.removed
                    or report.skipped
                    or report.absent
                ):
                    on_event(WatchEvent(report))
                if problem:  # watch again: a remounted disk is another folder to the system
                    problem = ""
                    break

    def _events(self, stop: Event | None) -> Iterator[bool]:
        """Yield whether something has changed in the folder, at least every `SETTLE` seconds."""
        from watchfiles import watch

        present = [folder for folder in self._watched if folder.is_dir()]
        if not present:
            sleep(SETTLE) if stop is None else stop.wait(SETTLE)
            return iter([True])
        bursts = watch(
            *present,
            watch_filter=self._is_relevant,
            debounce=_BURST,
            step=100,
            stop_event=stop,
            rust_timeout=round(1000 * SETTLE),
            yield_on_timeout=True,
            raise_interrupt=stop is None,
        )
        return (bool(changes) for changes in bursts)

    def _identities(self) -> list[tuple[int, int] | None]:
        """What tells a folder from another one that is mounted in its place; None for no folder."""
        found: list[tuple[int, int] | None] = []
        for folder in self._watched:
            try:
                status = folder.stat()
                found.append((status.st_dev, status.st_ino))
            except OSError:
                found.append(None)
        return found

    def look(self) -> IndexReport:
        """Bring the index up to date with all photos that have settled.

        Returns:
            The report of the update; it lists only skipped photos that were not reported before.

        Raises:
            HganError: see `index_folder`.
        """
        with suppress(ReplacedError), self._opening() as writer:  # by `hgan index --rebuild`
            return self._look(writer)
        with self._opening() as writer:  # the new one
            return self._look(writer)

    def _look(self, writer: IndexWriter) -> IndexReport:
        changes = self._compare(writer)
        changed = changes.changed
        self._unreadable = {
            path: was for path, was in self._unreadable.items() if _matches(changed.get(path), was)
        }
        self._unsettled = self._find_unsettled(changed)
        report = writer.update(changes, self._unsettled.keys() | self._unreadable.keys())
        self._unreadable |= {
            path: photo.state for path, photo in changed.items() if path in report.unreadable
        }
        self._changes += report.added + report.updated + report.removed
        if self._changes >= OPTIMIZE_AFTER:
            writer.optimize()
            self._changes = 0
        reported, self._reported = self._reported, dict(report.skipped)
        report.skipped = {k: why for k, why in report.skipped.items() if reported.get(k) != why}
        absent, self._absent = self._absent, dict(report.absent)
        report.absent = {k: why for k, why in report.absent.items() if absent.get(k) != why}
        return report

    def first(self) -> IndexReport:
        """Index all photos, without waiting until they have settled.

        Raises:
            HganError: see `index_folder`.
        """
        with self._opening() as writer:
            changes = self._compare(writer)
            report = writer.update(changes)
            writer.count_ignored(changes, report)
            writer.optimize()
        self._reported, self._absent = dict(report.skipped), dict(report.absent)
        return report

    def _compare(self, writer: IndexWriter) -> Changes:
        changes = writer.compare()
        self._ignored = tuple(changes.listing.ignored)
        return changes

    def _find_unsettled(self, changed: dict[str, Photo]) -> dict[str, _Seen]:
        """The changed photos that must not be read yet."""
        now = monotonic()
        unsettled = {}
        for path, photo in changed.items():
            if path in self._unreadable:
                continue
            seen = self._unsettled.get(path)
            if seen is None or seen.state != photo.state:
                unsettled[path] = _Seen(photo.state, now)
            elif now - seen.since < SETTLE:
                unsettled[path] = seen
        return unsettled

    def _is_relevant(self, change: "Change", name: str) -> bool:
        """Whether a change may affect photos: the name is that of a photo, a video or a
        folder."""
        path = Path(name)
        if self._ignore and path.is_relative_to(self._ignore):
            return False
        try:
            inside = self._roots.inside(path)
        except ValueError:  # where nothing is indexed
            return False
        if f"{inside}/".startswith(self._ignored):
            return False
        if path.name == IGNORE_FILE or is_sidecar_name(path.name):
            return True
        if kind_of(path.name) is not None or is_video(path.name):
            return True
        from watchfiles import Change

        return change == Change.deleted or path.is_dir()


def watch_folder(
    folder: Folders,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    regions: int | None = None,
    exclude: Sequence[str] | None = None,
    on_event: Callable[[WatchEvent], object] = lambda _event: None,
    stop: Event | None = None,
) -> None:
    """Bring an index up to date as `index_folder` does, then keep it up to date until stopped.

    The index is open during updates only. An index in a folder can be open in one process only, so
    a search waits for a short update, and fails during a long one.

    Args:
        folder: the photos, see `index_folder`.
        to: the index.
        bundle: the model.
        quantize: see `index_folder`.
        regions: see `index_folder`.
        exclude: see `index_folder`.
        on_event: called with the report of the first run and of each update, and with problems.
        stop: stops the watcher when it is set; without it, Ctrl-C stops the watcher and is raised
            as `KeyboardInterrupt`.

    Raises:
        ConfigError: watchfiles is not installed, or the photos are not in a folder.
        HganError: see `index_folder`, during the first pass; later problems are passed to
            `on_event`, and the watcher tries again.
    """
    source = open_photos(folder, to, exclude)
    roots = watchable(source)
    if roots is None:
        raise ConfigError(
            f"{folder}: only folders can be watched; run `hgan index` again to update the index"
        )
    (source if exclude is None else source.excluding(exclude)).check()  # before it is created
    bundle = bundle if bundle is None or isinstance(bundle, Bundle) else Bundle.load(bundle)
    opening = partial(open_writer, source, to, bundle, quantize, regions=regions, exclude=exclude)
    watcher = Watcher(roots, opening, None if is_address(to) else Path(to))
    on_event(WatchEvent(watcher.first()))
    watcher.follow(on_event, stop)


def watchable(source: Source) -> Roots | None:
    """The folders of a source that can be watched, with links resolved; None if it has none."""
    if isinstance(source, FoldersSource):
        return source.roots
    return Roots(source.root.resolve()) if isinstance(source, FolderSource) else None


def _matches(photo: Photo | None, was: tuple[int, int, str]) -> bool:
    return photo is not None and photo.state == was
