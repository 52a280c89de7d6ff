"""The verb `info`: show what an index contains, which model it has, and which files can be read."""

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb
from hgan.errors import HganError
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
    places = ""
    if not chosen.source:
        from hgan.index.places import missing

        places = missing()
        found |= {"device": _devices()}
    if chosen.json:
        values = found | ({"reads": reads, "places": places or None} if reads else {})
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
    if reads:
        print_visible(f"{'places':10}{places or 'the cities of photos with a position'}")
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
    """The kinds of files with photos: name, suffixes, and what must be installed to read them."""
    from hgan.runtime.formats import KINDS, VIDEO

    return [
        {
            "name": kind.name,
            "suffixes": sorted(kind.suffixes),
            "install": None if kind.readable else kind.advice,
        }
        for kind in (*KINDS, VIDEO)
    ]


def _devices() -> dict[str, Any]:
    """What encodes photos and what torch runs on, or the problem with it; all devices that can be
    named; and how to install what a GPU that is here needs."""
    from hgan.runtime.bundle import Bundle
    from hgan.runtime.device import PROVIDERS, advice, installed_providers

    installed = installed_providers()
    has_gpu = shutil.which("nvidia-smi") is not None
    return {
        "photos": _or_problem(lambda: Bundle.load().device),
        "torch": _or_problem(_torch_device),
        "available": [kind for kind, name in PROVIDERS.items() if name in installed],
        "install": advice("cuda") if has_gpu and PROVIDERS["cuda"] not in installed else None,
    }


def _or_problem(find: Callable[[], str | None]) -> str | None:
    try:
        return find()
    except HganError as error:
        return str(error)


def _torch_device() -> str | None:
    """The device of torch; None if it is not installed."""
    if find_spec("torch") is None:
        return None
    from hgan.torch_device import torch_device

    return str(torch_device())


def _device_line(value: dict[str, Any]) -> str:
    line = f"{value['photos']} encodes photos (of {', '.join(value['available'])})"
    line += f"; torch runs on {value['torch']}" if value["torch"] else ""
    return line + (f"; for the GPU: {value['install']}" if value["install"] else "")


def _shown(name: str, value: Any) -> str:
    """A value on one line."""
    if name == "device":
        return _device_line(value)
    if name == "folders":
        return ", ".join(f"{folder} as {name}" for name, folder in value.items())
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
