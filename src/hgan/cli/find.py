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

    from hgan.index.indexer import IndexReport
    from hgan.index.watcher import News
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
            watch_folder(folder, to, bundle, quantize, regions, lambda news: _print_news(news, to))
        except KeyboardInterrupt:  # how watching is ended; what was being written is
            print("stopped", file=sys.stderr)
    else:
        from hgan.index.indexer import index_folder
        from hgan.index.shard import WHOLE, Part

        part = WHOLE if chosen.part is None else Part.parse(chosen.part)
        _print_report(index_folder(folder, to, bundle, quantize, part, regions), to)
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


def _print_news(news: "News", to: Path | str) -> None:
    """What a watcher did or could not do."""
    if news.report is None:
        print(f"hgan: {news.problem}; still watching", file=sys.stderr, flush=True)
    else:
        _print_report(news.report, to)


def _search_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", help="what the photos show, in your own words")
    parser.add_argument("--image", type=Path, metavar="FILE", help="find photos like this one")
    parser.add_argument(
        "--like",
        type=str,
        metavar="PHOTO",
        help="find photos like this one of the index, given by its path or its id",
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
    parser.add_argument(
        "--candidates",
        type=PositiveInt,
        metavar="N",
        help="photos that the exact score is worked out for, by default 100 or four a hit; more "
        "may find more of what comparing with every photo would, and a hundred more take about two "
        "milliseconds",
    )
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="write a contact sheet as well")


def _search(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.index.store.filter import Filter
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
            candidates=chosen.candidates,
        )
        if chosen.sheet is not None and index.holds == "texts":
            raise ConfigError("a contact sheet shows photos, and this index holds texts")
    title = _title(query)
    _print_hits(hits, title, first=chosen.offset + 1, as_json=chosen.json)
    if chosen.sheet is not None:
        from hgan.render.contact_sheet import contact_sheet

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
                **({"text": hit.text, "path": _named(hit)} if hit.text else {}),
            }
            for hit in hits
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif hits and sys.stdout.isatty():
        from rich.console import Console

        Console().print(hits_table(hits, title, first))
    elif not hits:
        print("nothing found", file=sys.stderr)
    else:
        for hit in hits:
            shown = f"{hit.text}\t{_named(hit) or ''}" if hit.text else str(hit.path)
            print(f"{hit.score:.4f}\t{shown}")


def _named(hit: "Hit") -> str | None:
    """The photo that a sentence describes; None where it names none."""
    return str(hit.path) if hit.path.name else None


def hits_table(hits: "list[Hit]", title: str, first: int = 1) -> "Table":
    """Hits as a table for a screen: rank, photo, score, and the similarity at each level."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    table.add_column("", justify="right", style="dim")
    texts = any(hit.text for hit in hits)
    table.add_column("sentence" if texts else "photo", overflow="fold")
    table.add_column("score", justify="right", style="bold")
    for level in hits[0].levels if hits else ():
        table.add_column(level, justify="right", style="cyan")
    for place, hit in enumerate(hits, first):
        scores = (f"{value:.3f}" for value in (hit.score, *hit.levels.values()))
        item = Text(hit.text or str(hit.path))
        if hit.text and (name := _named(hit)):
            item.append(f"  {name}", style="dim")
        if hit.duplicates:
            item.append(f"  and {len(hit.duplicates)} like it", style="dim")
        table.add_row(str(place), item, *scores)
    return table


FIND = {
    "index": Verb(
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
    ),
    "search": Verb(
        summary="Search indexed photos, or texts, with words, with a photo, or with both.",
        details=(
            "Prints the best photos with their scores: a table on a screen, tab-separated lines\n"
            "into a pipe. The score is the model's own, the weighted sum of its levels; that of\n"
            "words and a photo is what either scores by its share, less half of what is scored by\n"
            "each thing that the photos should be without. In an index of texts, hits are\n"
            "sentences, with the names of their photos where they are known."
        ),
        examples=(
            'hgan search "two dogs playing in the snow"',
            "hgan search --image holiday.jpg -k 5",
            'hgan search "at night" --image holiday.jpg --share 0.3',
            "hgan search --like italy/beach.jpg --fold",
            'hgan search "a beach" --without people --without "a boat"',
            'hgan search "a beach" --where folder=2023/italy --where "taken>=2023-06"',
            'hgan search "a beach" -k 20 --offset 20 --min-score 0.3',
            "hgan search --image holiday.jpg --index captions.index",
            'hgan search "a red car" --index holidays.index --sheet cars.png',
            'hgan search "a red car" --json',
        ),
        arguments=_search_arguments,
        run=_search,
    ),
}
"""By name."""
