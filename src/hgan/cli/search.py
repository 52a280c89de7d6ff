"""The verb `search`: search photos or texts with words, with a photo, or with both."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from hgan.cli.device import prefer_processor
from hgan.cli.model import moved_model_argument, named_model
from hgan.cli.verb import Verb
from hgan.errors import ConfigError
from hgan.locations import default_index
from hgan.terminal import print_visible, visible

if TYPE_CHECKING:
    from rich.table import Table

    from hgan.search.finder import Hit
    from hgan.search.language.types import Parsed
    from hgan.search.query import Query


class Described(Protocol):
    """A model that says what it is."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it understands; empty if unknown."""


NOTHING_FITS = "Probably nothing like this here; these come closest."


def _search_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "query",
        nargs="*",
        help="description of the photos, in your own words, with conditions such as in:2023, "
        "camera:canon, rating>=4 or -people",
    )
    parser.add_argument(
        "--literally",
        action="store_true",
        help="search for the words as they are, without conditions in them",
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="find photos like this one")
    parser.add_argument(
        "--like",
        type=str,
        metavar="PHOTO",
        help="find photos like this one, which is in the index; its path or its id",
    )
    parser.add_argument(
        "--share",
        type=float,
        default=0.5,
        help="weight of the photo when there are words as well, from 0 to 1",
    )
    parser.add_argument(
        "--without",
        type=str,
        metavar="WORDS",
        action="append",
        help="what the photos should not show; can be repeated",
    )
    parser.add_argument(
        "--where",
        type=str,
        metavar="CONDITION",
        action="append",
        help="only photos that meet a condition, such as folder=2023/italy, taken>=2023-06, "
        "rating>=4, or several, such as 'tag=beach or place=Lisbon'; can be repeated, and all "
        "must be met",
    )
    parser.add_argument("--index", type=str, help="the index to search, by default your own index")
    moved_model_argument(parser)
    parser.add_argument("-k", "--k", type=PositiveInt, default=10, help="number of photos to list")
    parser.add_argument(
        "--offset", type=NonNegativeInt, default=0, help="number of best photos to skip"
    )
    parser.add_argument(
        "--min-score", type=float, metavar="SCORE", help="only photos with at least this score"
    )
    parser.add_argument(
        "--min-relevance",
        type=float,
        metavar="RELEVANCE",
        help="only photos with at least this relevance, from 0 to 1: 0.5 is fair, 0.9 is strong",
    )
    parser.add_argument(
        "--fold", action="store_true", help="group near-duplicates under the best of them"
    )
    parser.add_argument(
        "--candidates",
        type=PositiveInt,
        metavar="N",
        help="number of photos that are scored exactly, by default 100, or four for each hit if "
        "that is more; more candidates come closer to an exhaustive search, and a hundred more "
        "take about two milliseconds",
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print the hits as JSON")
    forms.add_argument(
        "-f", "--files", action="store_true", help="print the paths alone, one on a line"
    )
    forms.add_argument(
        "--print0",
        action="store_true",
        help="print the paths alone, each ended by a NUL character, for xargs -0",
    )
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet")


def _search(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.cli.running import open_to_search
    from hgan.index.conditions.filter import Filter
    from hgan.search.language.parse import parse
    from hgan.search.language.types import Parsed

    prefer_processor()
    line = " ".join(chosen.query)
    parsed = Parsed(line, line) if chosen.literally else parse(line)
    query = parsed.query(chosen.image, chosen.like, tuple(chosen.without or ()), chosen.share)
    where = parsed.where & Filter.parse(chosen.where or ())
    browses = parsed.browses and not (chosen.image or chosen.like or chosen.without)
    if browses:
        _check_browsing(chosen)
    with open_to_search(chosen.index or default_index(), named_model(chosen.model)) as index:
        if browses:
            hits = index.newest(chosen.k, offset=chosen.offset, where=where, fold=chosen.fold)
        else:
            hits = index.find(
                query,
                chosen.k,
                offset=chosen.offset,
                where=where,
                threshold=chosen.min_score,
                min_relevance=chosen.min_relevance,
                fold=chosen.fold,
                candidates=chosen.candidates,
            )
        model = described(index.bundle)
        unknown: list[object] = [*index.unknown_values(where)]
        unknown += [] if browses else index.unknown_words(query)
        if chosen.sheet is not None and index.holds == "texts":
            raise ConfigError("a contact sheet shows photos, but this index contains texts")
        if (chosen.files or chosen.print0) and index.holds == "texts":
            raise ConfigError("--files and --print0 are for photos, but this index contains texts")
    if parsed.parts:
        print_visible(f"hgan: {understood(parsed)}", file=sys.stderr)
    for word in unknown:
        print_visible(f"hgan: {word}", file=sys.stderr)
    title = "" if browses else _title(query)
    if chosen.print0:
        _print_terminated(hits)
    elif hits and chosen.files:
        for path in dict.fromkeys(hit.path for hit in hits):
            print_visible(path)
    else:
        _print_hits(hits, title, first=chosen.offset + 1, as_json=chosen.json, model=model)
    if chosen.sheet is not None:
        from hgan.render.contact_sheet import contact_sheet

        contact_sheet(hits, chosen.sheet, title)
        print_visible(f"contact sheet: {chosen.sheet}", file=sys.stderr)
    return 0


def _check_browsing(chosen: Namespace) -> None:
    """Raise `ConfigError` if options of a ranking are given with conditions alone."""
    for option in ("min_score", "min_relevance", "candidates"):
        if chosen[option] is not None:
            raise ConfigError(
                f"conditions alone have no score; add words, or omit --{option.replace('_', '-')}"
            )


def understood(parsed: "Parsed") -> str:
    """How a line with conditions was understood, on one line."""
    words = [f"“{parsed.text}”"] if parsed.text else []
    known = [part.label for part in parsed.parts if part.kind != "unfinished"]
    unfinished = [part.label for part in parsed.parts if part.kind == "unfinished"]
    ignored = [f"{label} is ignored, it has no value" for label in unfinished]
    return "; ".join([", ".join([*words, *known]), *ignored]).removeprefix("; ")


def _title(query: "Query") -> str:
    """The query on one line."""
    photos = [Path(str(photo)).name for photo in (query.photo, query.like) if photo]
    like = f"photos like {' and '.join(photos)}" if photos else ""
    without = f"without {', '.join(query.without)}" if query.without else ""
    return ", ".join(part for part in (query.text, like, without) if part.strip())


def _print_hits(hits: "list[Hit]", title: str, first: int, as_json: bool, model: str) -> None:
    """Print as JSON, as a table on a terminal, or as tab-separated lines for other programs."""
    if as_json:
        rows = [
            {
                "id": hit.id,
                "path": str(hit.path),
                "score": hit.score,
                "levels": hit.levels,
                "duplicates": [str(path) for path in hit.duplicates],
                "relevance": hit.relevance,
                "grade": hit.grade,
                "moment": hit.moment,
                **({"text": hit.text, "path": _named(hit)} if hit.text else {}),
            }
            for hit in hits
        ]
        print(visible(json.dumps(rows, indent=2, ensure_ascii=False), keep="\n"))
    elif hits and sys.stdout.isatty():
        from rich.console import Console

        Console().print(hits_table(hits, title, first, model))
        if first == 1 and hits[0].grade == "weak":
            Console(stderr=True).print(NOTHING_FITS)
    elif not hits:
        print("nothing found", file=sys.stderr)
    else:
        for hit in hits:
            shown = (hit.text, _named(hit) or "") if hit.text else (hit.path, *_moment(hit))
            print_visible(f"{hit.score:.4f}", *shown, sep="\t")


def _print_terminated(hits: "list[Hit]") -> None:
    """Print the exact bytes of the paths, which can contain newlines, each ended by NUL."""
    for path in dict.fromkeys(hit.path for hit in hits):  # of several frames of a video, one
        sys.stdout.buffer.write(os.fsencode(str(path)) + b"\0")


def _moment(hit: "Hit") -> list[str]:
    """The time in a video; nothing for a photo."""
    from hgan.runtime.video import clock

    return [] if hit.moment is None else [clock(hit.moment)]


def _named(hit: "Hit") -> str | None:
    """The name of the photo that a sentence describes; None if there is none."""
    return str(hit.path) if hit.path.name else None


def described(model: "Described") -> str:
    """The model, and the languages that it understands, if they are known."""
    languages = f"; understands {', '.join(model.languages)}" if model.languages else ""
    return f"model {model.name}{languages}"


def hits_table(
    hits: "list[Hit]", title: str, first: int = 1, caption: str | None = None
) -> "Table":
    """Hits as a table for a terminal: rank, photo, score, and the similarity at each level."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(title)), title_justify="left", caption_justify="left")
    table.caption = None if caption is None else Text(visible(caption))
    table.add_column("", justify="right", style="dim")
    texts = any(hit.text for hit in hits)
    table.add_column("sentence" if texts else "photo", overflow="fold")
    if hits and not (texts or hits[0].levels):  # the newest photos, without a query
        return _by_time(table, hits, first)
    table.add_column("score", justify="right", style="bold")
    graded = any(hit.grade for hit in hits)
    if graded:
        table.add_column("match")
    for level in hits[0].levels if hits else ():
        table.add_column(level, justify="right", style="cyan")
    for place, hit in enumerate(hits, first):
        scores = (f"{value:.3f}" for value in (hit.score, *hit.levels.values()))
        item = Text(visible(hit.text or hit.shown))
        if hit.text and (name := _named(hit)):
            item.append(f"  {visible(name)}", style="dim")
        if hit.duplicates:
            item.append(f"  and {len(hit.duplicates)} like it", style="dim")
        score, *levels = scores
        grades = [hit.grade or ""] if graded else []
        weak = "dim" if hit.grade == "weak" else None
        table.add_row(str(place), item, score, *grades, *levels, style=weak)
    return table


def _by_time(table: "Table", hits: "list[Hit]", first: int) -> "Table":
    """The table with photos that have no scores."""
    from rich.text import Text

    table.add_column("taken", style="cyan")
    for place, hit in enumerate(hits, first):
        taken = "" if hit.taken is None else hit.taken.isoformat(" ", "minutes")
        table.add_row(str(place), Text(visible(hit.shown)), taken)
    return table


SEARCH = Verb(
    summary="Search indexed photos, or texts, with words, with a photo, or with both.",
    details=(
        "Prints the best photos with their scores: a table on a terminal, tab-separated lines\n"
        "into a pipe, in which control characters of names are escaped; --print0 prints names\n"
        "as they are. The score is the model's similarity, the weighted sum of its levels. For\n"
        "words and a photo together, the two scores are added, weighted by --share; half of\n"
        "the score of each --without is subtracted. In an index of texts, hits are sentences,\n"
        "with the names of their photos where these are known.\n\n"
        "Conditions are a part of the line: FIELD:VALUE with the fields in, folder, taken, on,\n"
        "before, after, camera, tag (or #beach), person, place, near, rating, name and has;\n"
        "a minus before a word or a condition, NOT, OR and parentheses; what photos should not\n"
        "show also in plain words, as in 'without people'. Words in double quotes are words.\n"
        "Conditions alone list the newest photos first. The shell needs quotes around such a\n"
        "line. How it was understood is printed on the standard error. See docs/searching.md.\n\n"
        "A score cannot be compared between queries. What can is the match: strong, fair or\n"
        "weak, if the model was calibrated; if the best one is weak, probably nothing fits."
    ),
    examples=(
        'hgan search "two dogs playing in the snow"',
        "hgan search --image holiday.jpg -k 5",
        'hgan search "at night" --image holiday.jpg --share 0.3',
        "hgan search --like italy/beach.jpg --fold",
        'hgan search "a beach" --without people --without "a boat"',
        "hgan search 'dog in:2023 camera:canon rating>=4 -people near:Lisbon'",
        "hgan search 'a beach without people #holiday OR folder:2023/italy'",
        "hgan search 'rating:5 in:2022..2023'",
        'hgan search "a beach" --where folder=2023/italy --where "taken>=2023-06"',
        "hgan search 'a sign that says rating:4' --literally",
        'hgan search "a beach" -k 20 --offset 20 --min-score 0.3',
        "hgan search --image holiday.jpg --index captions.index",
        'hgan search "a red car" --index holidays.index --sheet cars.png',
        'hgan search "a red car" --index holidays.index --model bundles/moved',
        'hgan search "a red car" --json',
        'hgan search "a red car" --min-relevance 0.5 -f',
    ),
    arguments=_search_arguments,
    run=_search,
)
