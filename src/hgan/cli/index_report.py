"""Print what was indexed to standard output, and what was not to standard error, or to a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hgan.terminal import print_visible

if TYPE_CHECKING:
    from hgan.index.indexer import IndexReport
    from hgan.index.watcher import WatchEvent


def print_not_indexed(report: "IndexReport", failed: Path | None = None) -> None:
    """Print to standard error which files were skipped, and how many were left out and why.

    Args:
        report: what was indexed.
        failed: a file for the skipped ones, instead of standard error.
    """
    from hgan.index.failures import reason_of, write_table

    if failed is not None:
        write_table(failed, report.skipped)
        if report.skipped:
            print_visible(f"skipped {len(report.skipped)}, listed in {failed}", file=sys.stderr)
    else:
        for path, why in sorted(report.skipped.items()):
            print_visible(f"skipped {path}: {reason_of(path, why)}", file=sys.stderr)
    for left_out in report.left_out.reasons():
        print_visible(f"left out: {left_out}", file=sys.stderr)
    if report.unplaced:
        from hgan.index.conditions.gazetteer import INSTALL
        from hgan.index.places import missing

        photos = "photo" if report.unplaced == 1 else "photos"
        advice = missing() or f"on all machines that index: {INSTALL}"
        print_visible(
            f"without a place: {report.unplaced:,} {photos} with a position; {advice}",
            file=sys.stderr,
        )


def print_report(report: "IndexReport", to: Path | str, failed: Path | None = None) -> int:
    """Print counts to standard output, and what was not indexed to standard error, or to a file.

    Returns:
        The exit code: that of an error if one of several folders could not be read.
    """
    from hgan.runtime.video import FRAMES

    print_not_indexed(report, failed)
    left_out = f", {report.left_out.total} left out" if report.left_out.total else ""
    if report.sidecars:
        left_out += f", {report.sidecars} XMP sidecars"
    if report.videos:
        videos = "video" if report.videos == 1 else "videos"
        left_out += f", {report.videos} {videos} by {FRAMES} frames each"
    print_visible(
        f"{report.added} added, {report.updated} updated, {report.removed} removed, "
        f"{report.unchanged} unchanged, {len(report.skipped)} skipped{left_out}: {to}",
        flush=True,
    )
    for why in report.absent.values():
        print_visible(f"hgan: {why}; its photos stay in the index", file=sys.stderr, flush=True)
    return 2 if report.absent else 0


def print_event(event: "WatchEvent", to: Path | str) -> None:
    """Print a report or a problem of the watcher."""
    if event.report is None:
        print_visible(f"hgan: {event.problem}; still watching", file=sys.stderr, flush=True)
    else:
        print_report(event.report, to)
