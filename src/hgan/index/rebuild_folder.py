"""Build an index in a folder anew; see `hgan.index.rebuild` and `hgan.index.store.generations`."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from time import sleep

from hgan.errors import IndexingError
from hgan.index.folders import source_of
from hgan.index.indexer import index_source
from hgan.index.open import open_to_write
from hgan.index.plan import Plan, Rebuild
from hgan.index.report import IndexReport
from hgan.index.store.contract import BrokenError, Entry, InUseError
from hgan.index.store.folder import hold, open_store, read_manifest, rebuilding, use_generation
from hgan.index.store.generations import generation_folder, is_ready, set_ready, tidy
from hgan.index.store.manifest import IndexManifest
from hgan.index.tags import carry_tags
from hgan.runtime.bundle import Bundle

_POLL = 0.2
"""Seconds between two looks at an index that a service has open."""


def rebuild_folder(plan: Plan, waiting: Callable[[str], object]) -> Rebuild:
    """Fill the next generation of an index in a folder, and take it into use."""
    folder = Path(plan.target)
    with rebuilding(folder):
        place = next_generation(folder)
        finished = is_ready(place)
        if finished:  # an earlier run was killed while it waited
            same = plan.matches(place)
            report, lost = IndexReport(), _take_into_use(folder, waiting)
            if same:
                return Rebuild(report, lost)
            place = next_generation(folder)
        if (place / "index.json").is_file():
            plan.check(place)
        report = plan.fill(place)
        set_ready(place)
        return Rebuild(report, _take_into_use(folder, waiting))


def next_generation(folder: Path) -> Path:
    """The folder of the generation after the one in use; it may not exist."""
    return generation_folder(folder, read_manifest(folder).generation + 1)


def switch(folder: Path, old: Iterable[Entry], bundle: Bundle | None = None) -> IndexManifest:
    """Take the next generation, which is whole, into use; the old one is kept, and can stay open.

    What has changed in the folder of photos since the generation was filled is brought up to date
    first, and user tags are carried over. The caller holds the lock of the index, and nothing may
    be written to the old generation meanwhile, nor afterwards.

    Args:
        folder: the index.
        old: the entries of the old generation.
        bundle: the model of the new generation; by default from the folder where it was.

    Returns:
        The manifest of the new generation.

    Raises:
        HganError: the photos or the model cannot be reached; the old generation stays in use.
    """
    place = next_generation(folder)
    manifest = read_manifest(place)
    bundle = bundle or manifest.load_bundle()
    if manifest.holds == "photos":
        report = index_source(source_of(manifest), place, bundle)
        with open_to_write(manifest.root, place, bundle) as (store, _, _):
            carry_tags(old, store, manifest, report.unreadable)
    number = read_manifest(folder).generation + 1
    new = replace(read_manifest(place), generation=number)
    use_generation(folder, new)
    return new


def _take_into_use(folder: Path, waiting: Callable[[str], object]) -> str:
    """Switch to the next generation, or wait until the service that has the index open has done so.

    Returns:
        Why the old generation could not be read; or empty.
    """
    number, told = read_manifest(folder).generation + 1, False
    while read_manifest(folder).generation < number:
        try:
            return _switch_alone(folder, number)
        except InUseError:
            if not told:
                waiting(
                    f"{folder}: the new index is whole; waiting for the process that has the old "
                    "one open: `hgan serve` goes over to the new one by itself, others have to end"
                )
                told = True
            sleep(_POLL)
    return ""


def _switch_alone(folder: Path, number: int) -> str:
    """Switch to a generation in this process, and remove the old one.

    Raises:
        InUseError: another process has the index open.
    """
    lost = ""
    with hold(folder) as held:
        if not held:
            raise IndexingError(
                f"{folder}: cannot be written, or the disk is full; make it writable or free some "
                "space, and run the same command again"
            )
        manifest = read_manifest(folder)
        if manifest.generation >= number:  # by a service that was killed after that
            tidy(folder, manifest.generation)
            return ""
        try:
            with open_store(folder, manifest, check=False, held=True) as store:
                old = list(store.entries())
        except BrokenError as error:
            old, lost = [], error.reason
        tidy(folder, switch(folder, old).generation)
    return lost
