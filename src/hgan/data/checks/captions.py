"""Checks of captions: malformed entries, missing splits, unusual and repeated texts."""

import re
from collections import Counter, defaultdict
from pathlib import Path

from hgan.data.captions.read import scan_captions
from hgan.data.captions.types import Problem, Record
from hgan.data.checks.report import Report

LONG_CAPTION = 100
"""Number of words above which there is a warning; text encoders truncate at fewer words."""
SHORT_CAPTION = 3
"""Number of words below which there is a note; such captions describe a photo too vaguely."""

# A word is text between spaces. In Chinese and Japanese, which have no spaces, it is a character.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\s{_IDEOGRAPHS}]+")


def check_captions(report: Report, path: Path) -> list[Record]:
    """Add the problems of a caption file, or of lists in SCAN's format, to a report.

    Returns:
        The valid photos.
    """
    records = []
    for found in scan_captions(path):
        if isinstance(found, Problem):
            report.add("error", found.kind, [str(found)])
        else:
            records.append(found)
    _check_splits(report, records)
    _check_texts(report, records)
    return records


def _check_splits(report: Report, records: list[Record]) -> None:
    for record in records:
        row = report.counts.setdefault(record.split or "(none)", {"photos": 0, "captions": 0})
        row["photos"] += 1
        row["captions"] += len(record.captions)
    needed = {"train": "is needed for training", "val": "is needed to choose the checkpoint"}
    for name, use in needed.items():
        if name not in report.counts:
            found = ", ".join(report.counts) or "none"
            case = f'no photo is in split "{name}", which {use}; splits found: {found}'
            report.add("error", f"no {name} split", [case])
    without = [f"{record.where}: {record.image}" for record in records if record.split is None]
    if len(without) < len(records):
        report.add("note", "photo in no split", without)


def _check_texts(report: Report, records: list[Record]) -> None:
    photos_of: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        for text, place in zip(record.captions, record.places, strict=True):
            words = len(_WORD.findall(text))
            shown = f"{place}: {text[:60]!r}"
            if words > LONG_CAPTION:
                report.add("warning", f"caption over {LONG_CAPTION} words", [f"{shown}…, {words}"])
            elif words < SHORT_CAPTION:
                report.add("note", f"caption under {SHORT_CAPTION} words", [shown])
        for text, times in Counter(record.captions).items():
            photos_of[text].append(record)
            if times > 1:
                case = f"{record.where}: {text[:60]!r} {times} times"
                report.add("warning", "caption repeated for its photo", [case])
    report.add(
        "warning",
        "caption shared by several photos",
        (
            f"{of[0].where}: {text[:60]!r} of {', '.join(record.image for record in of[:3])}"
            + (f" and {len(of) - 3} more" if len(of) > 3 else "")
            for text, of in photos_of.items()
            if len(of) > 1
        ),
    )
