"""The verb `data check`: check a data set before training."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "path", type=Path, help="caption file or its folder, features, or a folder in SCAN's format"
    )
    parser.add_argument(
        "--photos", type=Path, help="folder of the photos, by default next to the caption file"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _check(_parser: ArgumentParser, chosen: Namespace) -> int:
    from rich.console import Console

    from hgan.data.checks.check import check

    report = check(chosen.path, chosen.photos)
    if chosen.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        report.render(Console())
    return 0 if report.ok else 1


DATA_CHECK = Verb(
    summary="Check captions, photos and features before training.",
    details=(
        "Lists photos, captions and features that are missing, unreadable, empty, too long,\n"
        "duplicated or in two splits. Exits with 1 if training or its metrics would be wrong."
    ),
    examples=(
        "hgan data check data/flickr8k/captions.jsonl",
        "hgan data check captions.csv --photos ~/Pictures --json",
        "hgan data check features/flickr8k",
        "hgan data check data/f30k_precomp",
    ),
    arguments=_check_arguments,
    run=_check,
)
