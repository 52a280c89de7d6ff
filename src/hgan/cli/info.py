"""The verb `info`: show what an index contains, which model it has, and which files can be read."""

import json
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb
from hgan.locations import default_index
from hgan.terminal import print_visible, visible
from hgan.version import __version__


def _info_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="?",
        type=str,
        metavar="INDEX_OR_MODEL",
        help="an index, or a model as for --model of `hgan index`; by default your own index if "
        "there is one, or else the bundle that ships with hgan",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _info(_parser: ArgumentParser, chosen: Namespace) -> int:
    found = {"hgan": __version__} | _describe(chosen.source)
    reads = [] if chosen.source else _kinds()
    if chosen.json:
        values = found | ({"reads": reads} if reads else {})
        print(visible(json.dumps(values, indent=2, ensure_ascii=False), keep="\n"))
        return 0
    for name, value in found.items():
        if value is not None:
            print_visible(f"{name:10}{_shown(name, value)}")
    for kind in reads:
        suffixes = " ".join(kind["suffixes"])
        print(f"{'reads' if kind is reads[0] else '':10}{kind['name']}: {suffixes}")
        if advice := kind["install"]:
            print(f"{'':12}not yet: {advice}")
    return 0


def _describe(source: str | None) -> dict[str, Any]:
    from hgan.index.describe import describe_index, describe_model
    from hgan.index.store.open import is_address
    from hgan.loading import load_bundle

    target = default_index() if source is None else source
    if is_address(target) or (Path(target) / "index.json").is_file():
        return describe_index(target)
    return describe_model(load_bundle(source))


def _kinds() -> list[dict[str, Any]]:
    """The kinds of photo files: name, suffixes, and what must be installed to read them."""
    from hgan.runtime.formats import KINDS

    return [
        {
            "name": kind.name,
            "suffixes": sorted(kind.suffixes),
            "install": None if kind.readable else kind.advice,
        }
        for kind in KINDS
    ]


def _shown(name: str, value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:g}" for key, number in value.items() if number)
    if name == "languages":
        return ", ".join(value) or "not stated by the model card"
    if name == "bytes":
        return f"{value / 1e6:,.1f} MB"
    return f"{value:,}" if isinstance(value, int) else str(value)


INFO = Verb(
    summary="Show what an index contains, which model it has, and which files can be read.",
    details=(
        "The languages are those that the card of the model states. An index that another\n"
        "process has open can be described too; its number of items is not known while it is\n"
        "changed. Without an argument, the kinds of photo files are listed; some can be read\n"
        "once an extra of this package is installed, and the line that installs it is shown."
    ),
    examples=(
        "hgan info",
        "hgan info holidays.index",
        "hgan info bundles/clip --json",
    ),
    arguments=_info_arguments,
    run=_info,
)
