"""The verb `index`: a folder of photos, or a file of texts, into an index."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from hgan.cli.verb import Verb
from hgan.errors import ConfigError
from hgan.locations import default_index

if TYPE_CHECKING:
    from hgan.index.indexer import IndexReport
    from hgan.index.watcher import WatchEvent


def _index_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=str,
        metavar="FOLDER_OR_FILE",
        help="folder of photos, or an address such as s3://bucket/2023, what is below is read too; "
        "or a file of captions or sentences",
    )
    parser.add_argument(
        "--to",
        type=str,
        metavar="INDEX",
        help="the index, a folder or http://SERVER/COLLECTION, by default your own folder",
    )
    parser.add_argument("--bundle", type=Path, help="the model, by default the one shipped")
    parser.add_argument(
        "--quantize",
        choices=["int8"],
        help="make a new index of 8-bit vectors: smaller, less exact",
    )
    parser.add_argument(
        "--regions",
        type=PositiveInt,
        help="make a new index of so many regions a photo, such as 9 or 4, each the mean of its "
        "neighbours: much smaller, a little less exact",
    )
    parser.add_argument(
        "--part",
        type=str,
        metavar="N/OF",
        help="take care of a share of the photos, as 2/8 on the second of eight machines that "
        "index the same photos into one server",
    )
    parser.add_argument(
        "--watch", action="store_true", help="then follow the folder until interrupted"
    )
    parser.add_argument(
        "--estimate", action="store_true", help="say what it would cost, and do nothing"
    )


def _index(_parser: ArgumentParser, chosen: Namespace) -> int:
    folder, to = chosen.folder, chosen.to or default_index()
    bundle, quantize, regions = chosen.bundle, chosen.quantize, chosen.regions
    if Path(folder).is_file():
        for option in ("estimate", "part", "regions", "watch"):
            if chosen[option]:
                raise ConfigError(f"{folder} is a file of texts; --{option} is for photos")
        from hgan.index.texts import index_texts

        _print_report(index_texts(folder, to, bundle, quantize), to)
    elif chosen.estimate:
        from hgan.index.estimate import estimate

        if chosen.part is not None:
            raise ConfigError("--estimate is about all photos; leave --part out")
        print(*estimate(folder, bundle, quantize, regions).lines(), sep="\n")
    elif chosen.watch:
        from hgan.index.watcher import watch_folder

        if chosen.part is not None:
            raise ConfigError("--watch follows all photos; leave --part out")
        try:
            watch_folder(folder, to, bundle, quantize, regions, lambda done: _print_event(done, to))
        except KeyboardInterrupt:  # how watching is ended; what was being written is
            print("stopped", file=sys.stderr)
    else:
        from hgan.index.indexer import index_folder
        from hgan.index.shard import WHOLE, Shard

        shard = WHOLE if chosen.part is None else Shard.parse(chosen.part)
        _print_report(index_folder(folder, to, bundle, quantize, shard, regions), to)
    return 0


def _print_report(report: "IndexReport", to: Path | str) -> None:
    """What was done, on standard output; what was skipped, on the other."""
    for path, reason in sorted(report.skipped.items()):
        print(f"skipped {path}: {reason}", file=sys.stderr)
    print(
        f"{report.added} added, {report.updated} updated, {report.removed} removed, "
        f"{report.unchanged} unchanged, {len(report.skipped)} skipped: {to}",
        flush=True,
    )


def _print_event(event: "WatchEvent", to: Path | str) -> None:
    """What a watcher did or could not do."""
    if event.report is None:
        print(f"hgan: {event.problem}; still watching", file=sys.stderr, flush=True)
    else:
        _print_report(event.report, to)


INDEX = Verb(
    summary="Index a folder of photos, or a file of texts.",
    details=(
        "Reads every photo of the folder once; run again, it reads what is new or changed\n"
        "and drops what is gone. Interrupted, it goes on where it stopped. Photos that cannot\n"
        "be read are skipped and listed. An index holds one folder with all folders below it;\n"
        "without --to, it is $HGAN_INDEX, or else a folder among your user data. Photos can\n"
        "also lie in S3 (pip install 'hgan[cloud]') and wherever else fsspec reads; keys are\n"
        "taken from where such a store's tools have them.\n\n"
        "On a Qdrant server an index is a collection. Settings may follow its name, as in\n"
        "?shard_number=3&replication_factor=2: shard_number, replication_factor and\n"
        "write_consistency_factor of a new one; timeout (seconds) and attempts of a question;\n"
        "patience (seconds), since a server that goes away is waited for. https encrypts;\n"
        "$SSL_CERT_FILE is a certificate of one's own to trust, $HGAN_QDRANT_API_KEY the\n"
        "server's key.\n\n"
        "A file of captions (JSON lines, CSV, the field's forms) or of sentences (.txt, one\n"
        "on a line) is indexed as texts, in which a photo finds its captions. With --watch, a\n"
        "folder is followed until Ctrl-C: photos that come, change or go are seen as it\n"
        "happens, and read once they are written to the end. Meanwhile an index on a server\n"
        "can be searched, and so can that of `hgan serve --watch`; one in a folder is in use."
    ),
    examples=(
        "hgan index ~/Pictures",
        "hgan index ~/Pictures --to holidays.index",
        "hgan index ~/Pictures --to mine.index --bundle bundles/mine",
        "hgan index ~/Pictures --to http://localhost:6333/pictures",
        "hgan index s3://bucket/2023 --to http://localhost:6333/pictures --part 2/8",
        "hgan index ~/Pictures --estimate",
        "hgan index ~/Pictures --to small.index --regions 9 --quantize int8",
        "hgan index ~/Pictures --watch",
        "hgan index captions.jsonl --to captions.index",
    ),
    arguments=_index_arguments,
    run=_index,
)
