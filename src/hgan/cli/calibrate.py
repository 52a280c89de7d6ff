"""The verb `calibrate`: fit how relevant the hits of a model are."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.settings import need_training_half
from hgan.cli.verb import Verb
from hgan.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from hgan.export.calibrate import Found


def _calibrate_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder of the bundle")
    add(
        "--captions",
        type=str,
        action="append",
        required=True,
        metavar="FILE",
        help="captions with a val split; the first file also needs a train split. Can be repeated",
    )
    add(
        "--photos",
        type=str,
        action="append",
        metavar="FOLDER",
        help="folder of the photos of each caption file, by default `images` next to it; can be "
        "repeated, in the order of the caption files",
    )
    add("--seed", type=int, default=0, help="chooses the queries")


def _calibrate(_parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("calibrate")
    from rich.console import Console

    from hgan.export.calibrate import calibrate
    from hgan.runtime.bundle import Bundle

    captions = [Path(name) for name in chosen.captions]
    photos = [Path(name) for name in chosen.photos or ()]
    photos = photos or [path.parent / "images" for path in captions]
    if len(photos) != len(captions):
        raise ConfigError(
            f"{len(captions)} caption files, but {len(photos)} folders of photos; repeat "
            "--photos for each"
        )
    bundle = Bundle.load(chosen.bundle)
    sources = list(zip(captions, photos, strict=True))
    calibration, found = calibrate(bundle, sources, chosen.seed)
    calibration.save(bundle.folder)
    Console().print(_table(found))
    return 0


def _table(found: "list[Found]") -> "Table":
    from rich.table import Table

    table = Table(
        title="Relevance, on queries that the regression has not seen",
        title_justify="left",
        caption="kept: right hits that are fair or strong; caught: queries without an answer that "
        "have no such hit",
        caption_justify="left",
    )
    table.add_column("collection", overflow="fold")
    for name in ("photos", "queries", "without answer", "kept", "caught"):
        table.add_column(name, justify="right")
    for row in found:
        counts = (row.photos, *row.queries)
        shares = (f"{value:.1%}" for value in (row.kept, row.caught))
        table.add_row(row.collection, *(f"{count:,}" for count in counts), *shares)
    return table


CALIBRATE = Verb(
    summary="Fit how relevant the hits of a model are, for words like strong, fair and weak.",
    details=(
        "S orders the photos of a query, but the best of them may still be wrong. With a\n"
        "calibration, `hgan search` and the page say how relevant each hit is, and when nothing\n"
        "fits. It is fitted on validation photos, and written to calibration.npz in the folder\n"
        "of the bundle. Several collections that differ make it better."
    ),
    examples=(
        "hgan calibrate bundles/mine --captions data/flickr8k/captions.jsonl",
        "hgan calibrate bundles/mine --captions data/flickr8k/captions.jsonl "
        "--captions data/coco_mini_val/captions.jsonl",
    ),
    arguments=_calibrate_arguments,
    run=_calibrate,
)
