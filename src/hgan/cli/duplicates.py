"""The verb `duplicates`: list the copies in a library, and move them out of it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb
from hgan.errors import ConfigError
from hgan.locations import default_index
from hgan.terminal import print_visible, visible

if TYPE_CHECKING:
    from hgan.search.copies import Copies


def _duplicates_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--index", type=str, help="the index of the photos, by default your own index")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print the groups as JSON")
    forms.add_argument(
        "-f",
        "--files",
        action="store_true",
        help="print the paths of all but the best of each group, one on a line",
    )
    forms.add_argument(
        "--move-to",
        type=Path,
        metavar="FOLDER",
        help="move all but the best of each group to a folder outside of the photos",
    )
    forms.add_argument(
        "--undo", type=Path, metavar="FOLDER", help="move the photos in that folder back"
    )


def _duplicates(_parser: ArgumentParser, chosen: Namespace) -> int:
    from rich.filesize import decimal

    from hgan.search.copies import find_copies

    if chosen.undo is not None:
        return _undo(chosen.undo)
    found = find_copies(chosen.index or default_index())
    for path, why in sorted(found.unreadable.items()):
        print_visible(f"not compared {path}: {why}", file=sys.stderr)
    spare = [copy for group in found.groups for copy in group[1:]]
    if chosen.json:
        groups = [[str(copy.path) for copy in group] for group in found.groups]
        print(visible(json.dumps(groups, indent=2, ensure_ascii=False), keep="\n"))
    elif chosen.files:
        for copy in spare:
            print_visible(copy.path)
    elif chosen.move_to is not None:
        _move(found, chosen.move_to)
    else:
        for group in found.groups:
            best, *others = group
            print_visible(best.path, decimal(best.size), sep="\t")
            for copy in others:
                print_visible(f"  {copy.path}", decimal(copy.size), sep="\t")
        print_visible(_summary(found), file=sys.stderr)
    return 0


def _move(found: "Copies", to: Path) -> None:
    from hgan.sources.moves import move_out

    if not isinstance(found.roots.first, Path):
        raise ConfigError(f"{found.roots}: only photos in a folder can be moved; use --files")
    names = [copy.inside for group in found.groups for copy in group[1:]]
    moved = move_out(found.roots, names, to) if names else []
    beside = len(moved) - len(names)
    others = f", and {beside} sidecar, RAW or clip files" if beside else ""
    print_visible(f"{len(names)} moved to {to}{others}")
    if moved:
        folders = " ".join(map(str, found.roots.by_name.values()))
        print_visible(
            f"`hgan duplicates --undo {to}` moves them back; `hgan index {folders}` updates the "
            "index",
            file=sys.stderr,
        )


def _undo(folder: Path) -> int:
    from hgan.sources.moves import move_back

    back, problems = move_back(folder)
    for problem in problems:
        print_visible(f"hgan: {problem}", file=sys.stderr)
    print_visible(f"{len(back)} moved back")
    return 1 if problems else 0


def _summary(found: "Copies") -> str:
    from rich.filesize import decimal

    spare = sum(len(group) - 1 for group in found.groups)
    return f"{spare} copies in {len(found.groups)} groups; they take {decimal(found.spare)}"


DUPLICATES = Verb(
    summary="List the copies among indexed photos, and move them out of the way.",
    details=(
        "Copies have the same bytes, or show the same photo resized, saved again or made a\n"
        "little brighter. The photos of a burst are not copies. The best of each group, the\n"
        "largest file, comes first and is never moved. XMP sidecars, RAW files and the clips of\n"
        "Live Photos are moved with their photo. Nothing is deleted or overwritten: moves\n"
        "are written to moved.jsonl in the new folder, and can be undone."
    ),
    examples=(
        "hgan duplicates",
        "hgan duplicates --index holidays.index --json",
        "hgan duplicates --move-to ~/copies",
        "hgan duplicates --undo ~/copies",
        "hgan duplicates --index holidays.index -f",
    ),
    arguments=_duplicates_arguments,
    run=_duplicates,
)
