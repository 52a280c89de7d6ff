"""The verbs about data: `data check`, and `data convert` from one form to another."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "path", type=Path, help="caption file or its folder, features, or a folder of SCAN's form"
    )
    parser.add_argument("--photos", type=Path, help="folder of the photos, by default beside it")
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


def _convert_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="captions, a feature store, a folder, or a TSV")
    parser.add_argument("target", type=Path, help="a .jsonl file, or a folder")
    parser.add_argument("--captions", type=Path, help="captions of a feature store's photos")
    parser.add_argument("--ids", type=Path, help="SPLIT_ids.txt: the photos of a TSV to write")


def _convert(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.data.conversion.convert import convert

    print(convert(chosen.source, chosen.target, chosen.captions, chosen.ids))
    return 0


DATA = {
    "data check": Verb(
        summary="Check that captions and photos are fit to train on.",
        details=(
            "Lists what is missing, cannot be read, is empty, too long, doubled or in two splits\n"
            "of a caption file with its photos, or of a feature store. Exits with 1 where\n"
            "training, or the figures after it, would be wrong."
        ),
        examples=(
            "hgan data check data/flickr8k/captions.jsonl",
            "hgan data check captions.csv --photos ~/Pictures --json",
            "hgan data check features/flickr8k",
            "hgan data check data/f30k_precomp",
        ),
        arguments=_check_arguments,
        run=_check,
    ),
    "data convert": Verb(
        summary="Convert captions or features from one form to another.",
        details=(
            "What is made follows from the source and the name of the target:\n"
            "  captions of any form       FILE.jsonl  JSON lines\n"
            "  captions of any form       a folder    lists in SCAN's format\n"
            "  a folder in SCAN's format  a folder    a feature store, from its SPLIT_ims.npy\n"
            "  a feature store            a folder    lists and arrays in SCAN's format\n"
            "  bottom-up attention's TSV  a folder    arrays in SCAN's format, of one split\n"
            "Nothing is written over, and nothing half written is left to be taken for whole."
        ),
        examples=(
            "hgan data convert captions_val2017.json coco.jsonl",
            "hgan data convert data/flickr8k/captions.jsonl data/flickr8k_lists",
            "hgan data convert data/f30k_precomp features/f30k",
            "hgan data convert features/flickr8k out --captions data/flickr8k/captions.jsonl",
            "hgan data convert test.tsv data/coco_precomp --ids lists/test_ids.txt",
        ),
        arguments=_convert_arguments,
        run=_convert,
    ),
}
"""By name."""
