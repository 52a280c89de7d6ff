"""The verbs that find photos, `index` and `search`: they need the runtime half alone."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from hgan.cli.verb import Verb
from hgan.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from hgan.search.query import Query
    from hgan.search.searcher import Hit


def default_index() -> Path | str:
    """Where the index is when none is named: $HGAN_INDEX, or a folder for this user's data.

    A server's collection is named by its address, a text."""
    if named := os.environ.get("HGAN_INDEX"):
        return named if named.startswith(("http://", "https://")) else Path(named)
    if sys.platform == "win32":
        data = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "hgan" / "index"


def _index_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=str,
        help="folder of photos, or an address such as s3://bucket/2023; what is below is read too",
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
        "--part",
        type=str,
        metavar="N/OF",
        help="take care of a share of the photos, as 2/8 on the second of eight machines that "
        "index the same photos into one server",
    )
    parser.add_argument(
        "--estimate", action="store_true", help="say what it would cost, and do nothing"
    )


def _index(_parser: ArgumentParser, chosen: Namespace) -> int:
    if chosen.estimate:
        from hgan.search.estimate import estimate

        if chosen.part is not None:
            raise ConfigError("--estimate is about all photos; leave --part out")
        print(*estimate(chosen.folder, chosen.bundle, chosen.quantize).lines(), sep="\n")
        return 0
    from hgan.search.indexer import index_folder
    from hgan.search.part import WHOLE, Part

    part = WHOLE if chosen.part is None else Part.parse(chosen.part)
    to = chosen.to or default_index()
    report = index_folder(chosen.folder, to, chosen.bundle, chosen.quantize, part)
    for path, reason in sorted(report.skipped.items()):
        print(f"skipped {path}: {reason}", file=sys.stderr)
    print(
        f"{report.added} added, {report.updated} updated, {report.removed} removed, "
        f"{report.unchanged} unchanged, {len(report.skipped)} skipped: {to}"
    )
    return 0


def _search_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", help="what the photos show, in your own words")
    parser.add_argument("--image", type=Path, metavar="FILE", help="find photos like this one")
    parser.add_argument(
        "--like", type=str, metavar="PHOTO", help="find photos like this one of the index"
    )
    parser.add_argument(
        "--share",
        type=float,
        default=0.5,
        help="what a photo counts beside words, which count the rest",
    )
    parser.add_argument(
        "--without",
        type=str,
        metavar="WORDS",
        action="append",
        help="what the photos should not show; may be given more than once",
    )
    parser.add_argument(
        "--where",
        type=str,
        metavar="CONDITION",
        action="append",
        help="only photos that pass, such as folder=2023/italy, taken>=2023-06, camera=Canon or "
        "tag=beach; may be given more than once",
    )
    parser.add_argument("--index", type=str, help="where to look, by default your own index")
    parser.add_argument("-k", "--k", type=PositiveInt, default=10, help="how many photos to list")
    parser.add_argument(
        "--offset", type=NonNegativeInt, default=0, help="how many photos to skip before them"
    )
    parser.add_argument(
        "--min-score", type=float, metavar="SCORE", help="only photos that score as much"
    )
    parser.add_argument(
        "--fold", action="store_true", help="list photos that are nearly the same as one"
    )
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="write a contact sheet as well")


def _search(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.index.filter import Filter
    from hgan.search.query import Query
    from hgan.search.searcher import open_index

    query = Query(
        text=" ".join(chosen.query),
        photo=chosen.image,
        like=chosen.like,
        without=tuple(chosen.without or ()),
        photo_share=chosen.share,
    )
    where = Filter.parse(chosen.where or ())
    with open_index(chosen.index or default_index()) as index:
        hits = index.find(
            query,
            chosen.k,
            offset=chosen.offset,
            where=where,
            threshold=chosen.min_score,
            fold=chosen.fold,
        )
    title = _title(query)
    _print_hits(hits, title, first=chosen.offset + 1, as_json=chosen.json)
    if chosen.sheet is not None:
        from hgan.search.sheet import contact_sheet

        contact_sheet(hits, chosen.sheet, title)
        print(f"contact sheet: {chosen.sheet}", file=sys.stderr)
    return 0


def _title(query: "Query") -> str:
    """What was searched for, on a line."""
    photos = [Path(str(photo)).name for photo in (query.photo, query.like) if photo]
    like = f"photos like {' and '.join(photos)}" if photos else ""
    without = f"without {', '.join(query.without)}" if query.without else ""
    return ", ".join(part for part in (query.text, like, without) if part.strip())


def _print_hits(hits: "list[Hit]", title: str, first: int, as_json: bool) -> None:
    """As JSON, as a table on a screen, and as tab-separated lines for other programs."""
    if as_json:
        rows = [
            {
                "id": hit.id,
                "path": str(hit.path),
                "score": hit.score,
                "levels": hit.levels,
                "duplicates": [str(path) for path in hit.duplicates],
            }
            for hit in hits
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(hits_table(hits, title, first))
    else:
        for hit in hits:
            print(f"{hit.score:.4f}\t{hit.path}")


def hits_table(hits: "list[Hit]", title: str, first: int = 1) -> "Table":
    """Hits as a table for a screen: rank, photo, score, and the similarity at each level."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    table.add_column("", justify="right", style="dim")
    table.add_column("photo", overflow="fold")
    table.add_column("score", justify="right", style="bold")
    for level in hits[0].levels if hits else ():
        table.add_column(level, justify="right", style="cyan")
    for place, hit in enumerate(hits, first):
        scores = (f"{value:.3f}" for value in (hit.score, *hit.levels.values()))
        photo = Text(str(hit.path))
        if hit.duplicates:
            photo.append(f"  and {len(hit.duplicates)} like it", style="dim")
        table.add_row(str(place), photo, *scores)
    return table


FIND = {
    "index": Verb(
        summary="Index a folder of photos.",
        details=(
            "Reads every photo of the folder once; run again, it reads what is new or changed\n"
            "and drops what is gone. Interrupted, it goes on where it stopped. Photos that cannot\n"
            "be read are skipped and listed. An index holds one folder with all folders below it;\n"
            "without --to, it is $HGAN_INDEX, or else a folder among your user data. On a Qdrant\n"
            "server it is a collection; settings such as ?shard_number=3&replication_factor=2 may\n"
            "follow its name, and $HGAN_QDRANT_API_KEY is the server's key. A server that goes\n"
            "away is waited for. Photos can also lie in S3 (pip install 'hgan[cloud]') and\n"
            "wherever else fsspec reads; keys are taken from where such a store's tools have them."
        ),
        examples=(
            "hgan index ~/Pictures",
            "hgan index ~/Pictures --to holidays.index",
            "hgan index ~/Pictures --to mine.index --bundle bundles/mine",
            "hgan index ~/Pictures --to http://localhost:6333/pictures",
            "hgan index s3://bucket/2023 --to http://localhost:6333/pictures --part 2/8",
            "hgan index ~/Pictures --estimate",
        ),
        arguments=_index_arguments,
        run=_index,
    ),
    "search": Verb(
        summary="Search indexed photos with words, with a photo, or with both.",
        details=(
            "Prints the best photos with their scores: a table on a screen, tab-separated lines\n"
            "into a pipe. The score is the model's own, the weighted sum of its levels; that of\n"
            "words and a photo is what either scores by its share, less half of what is scored by\n"
            "each thing that the photos should be without."
        ),
        examples=(
            'hgan search "two dogs playing in the snow"',
            "hgan search --image holiday.jpg -k 5",
            'hgan search "at night" --image holiday.jpg --share 0.3',
            "hgan search --like italy/beach.jpg --fold",
            'hgan search "a beach" --without people --without "a boat"',
            'hgan search "a beach" --where folder=2023/italy --where "taken>=2023-06"',
            'hgan search "a beach" -k 20 --offset 20 --min-score 0.3',
            'hgan search "a red car" --index holidays.index --sheet cars.png',
            'hgan search "a red car" --json',
        ),
        arguments=_search_arguments,
        run=_search,
    ),
}
"""By name."""
