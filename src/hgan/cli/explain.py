"""The verb `explain`: show why a photo matches a sentence."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.device import prefer_processor
from hgan.cli.model import model_argument
from hgan.cli.verb import Verb
from hgan.terminal import print_visible, visible

if TYPE_CHECKING:
    from rich.table import Table

    from hgan.runtime.explain import Explanation
    from hgan.runtime.patches import PatchMap


WHOLE = (
    "this model compares the whole photo with the whole sentence; it does not say which word "
    "matches which part of the photo"
)


def _explain_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="the photo file")
    parser.add_argument("text", nargs="+", help="the sentence")
    parser.add_argument("--out", type=Path, metavar="PNG", help="also write a picture")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    model_argument(parser)


def _explain(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.loading import load

    prefer_processor()
    explanation = load(chosen.model).explain(chosen.photo, " ".join(chosen.text))
    if chosen.json:
        print(visible(json.dumps(explanation.as_dict(), indent=2, ensure_ascii=False), keep="\n"))
    elif sys.stdout.isatty():
        from rich.console import Console

        tables = [levels_table(explanation)]
        if explanation.words:
            tables.append(words_table(explanation))
        if explanation.patches is not None:
            tables.append(patches_table(explanation, explanation.patches))
        Console().print(*tables, sep="\n")
    else:
        _print_lines(explanation)
    if explanation.patches is not None:
        print_visible(f"where: from the {explanation.patches.source}", file=sys.stderr)
    elif explanation.is_whole:
        print(WHOLE, file=sys.stderr)
    if chosen.out is not None:
        from hgan.render.heatmap import heatmap_sheet

        heatmap_sheet(chosen.photo, explanation, chosen.out)
        print_visible(f"picture: {chosen.out}", file=sys.stderr)
    return 0


def _print_lines(explanation: "Explanation") -> None:
    """Print tab-separated lines, for other programs."""
    for level in explanation.levels:
        numbers = (level.similarity, level.weight, level.part)
        print("level", level.name, *(f"{number:.4f}" for number in numbers), sep="\t")
    print("similarity", f"{explanation.score:.4f}", sep="\t")
    if explanation.probability is not None:
        print("probability", f"{explanation.probability:.4f}", sep="\t")
    for word in explanation.words:
        where = region_name(explanation.boxes[word.region])
        print_visible("word", word.text, f"{word.best:.4f}", f"{word.weight:.4f}", where, sep="\t")
    if (patches := explanation.patches) is not None:
        where = region_name(explanation.boxes[patches.region])
        print("where", f"{patches.best:.4f}", where, sep="\t")


def levels_table(explanation: "Explanation") -> "Table":
    """A table of the contribution of each level to S."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(explanation.text)), title_justify="left", show_footer=True)
    if explanation.probability is not None:
        table.caption = f"probability of a match {explanation.probability:.1%}"
    table.add_column("level", footer="sum")
    for name in ("similarity", "weight"):
        table.add_column(name, justify="right")
    table.add_column("part", justify="right", style="bold", footer=f"{explanation.score:.3f}")
    table.add_column("share", justify="right", style="cyan")
    for level in explanation.levels:
        numbers = (level.similarity, level.weight, level.part)
        share = f"{level.part / explanation.score:.0%}" if explanation.score else ""
        table.add_row(level.name, *(f"{number:.3f}" for number in numbers), share)
    return table


def words_table(explanation: "Explanation") -> "Table":
    """A table of each word with its most similar region."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="words and their best regions", title_justify="left")
    table.add_column("word", overflow="fold")
    table.add_column("across, down", justify="right")
    table.add_column("similarity", justify="right", style="bold")
    table.add_column("weight", justify="right", style="cyan")
    for word in explanation.words:
        table.add_row(
            Text(visible(word.text), style="dim" if word.is_function else ""),
            region_name(explanation.boxes[word.region]),
            f"{word.best:.3f}",
            f"{word.weight:.2f}",
        )
    return table


def patches_table(explanation: "Explanation", patches: "PatchMap") -> "Table":
    """A table of the patch that matches the sentence best."""
    from rich.table import Table

    table = Table(title="where the sentence matches best", title_justify="left")
    table.add_column("across, down", justify="right")
    table.add_column("similarity", justify="right", style="bold")
    table.add_row(region_name(explanation.boxes[patches.region]), f"{patches.best:.3f}")
    return table


def region_name(box: list[float]) -> str:
    """Position of a region in the photo: `17-33% 50-67%`, from the left and from the top.

    Args:
        box: x0 y0 x1 y1 in 0..1.
    """
    x0, y0, x1, y1 = (round(100 * part) for part in box)
    return f"{x0}-{x1}% {y0}-{y1}%"


EXPLAIN = Verb(
    summary="Show why a photo matches a sentence, level by level and word by word.",
    details=(
        "Prints the contribution of each level to the similarity, and for each word the most\n"
        "similar region of the photo: its position from the left and from the top in per cent,\n"
        "and the similarity (cosine times the word's weight). Prints tables on a terminal, and\n"
        "tab-separated lines into a pipe. The picture of --out shows all words with all regions.\n"
        "A dual encoder has only the level of the whole photo and the whole sentence; SigLIP also\n"
        "gives the probability that they match. Where the sentence is in the photo comes from the\n"
        "dual encoder's patch tokens, without the last attention, and is approximate."
    ),
    examples=(
        'hgan explain dog.jpg "a black dog catches a ball" --out why.png',
        'hgan explain dog.jpg "a black dog catches a ball" --json',
        'hgan explain dog.jpg "a black dog" --model bundles/mine',
    ),
    arguments=_explain_arguments,
    run=_explain,
)
