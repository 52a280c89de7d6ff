"""The verb `report`: compare evaluated runs in tables, plots and lists of the worst queries."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.settings import need_training_half
from hgan.cli.verb import Verb
from hgan.terminal import print_visible


def _report_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", type=Path, nargs="+", help="folders that contain runs, at any depth")
    add("--out", type=Path, default=Path("report"), help="folder of the report")
    add("--split", default="test", help="split whose records are compared")
    add("--reference", metavar="NAME", help="system to compare with, by default the best")
    add("--photos", type=Path, help="folder of the photos, by default the one of the runs")
    add(
        "--published",
        metavar="NAME",
        help="add published results: flickr30k-1k, coco-1k or coco-5k",
    )


def _report(_parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("report")
    from hgan.reporting.report import PAGE, write_report

    problems = write_report(
        chosen.runs, chosen.out, chosen.split, chosen.reference, chosen.photos, chosen.published
    )
    for problem in problems:
        print_visible(f"left out: {problem}", file=sys.stderr)
    print_visible(chosen.out / PAGE)
    return 0


REPORT = Verb(
    summary="Compare evaluated runs: tables, plots and the worst queries.",
    details=(
        "Reads the records that `hgan evaluate` wrote to the folders of the runs; the weights\n"
        "are not needed. The report is one HTML file with everything in it; its tables and\n"
        "plots are also written beside it. Differences have 95 % intervals over the queries.\n"
        "Missing and damaged records are listed and left out."
    ),
    examples=(
        "hgan report runs/ablations --split val --out report",
        "hgan report runs --reference flickr8k --photos data/flickr8k/images",
        "hgan report runs/f30k --published flickr30k-1k",
    ),
    arguments=_report_arguments,
    run=_report,
)
