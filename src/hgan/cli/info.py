"""The verb `info`: the version, your own index, and which files can be read."""

import platform

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb
from hgan.errors import HganError
from hgan.locations import default_index
from hgan.terminal import print_visible
from hgan.version import __version__


def _no_arguments(_parser: ArgumentParser) -> None:
    pass


def _info(_parser: ArgumentParser, _chosen: Namespace) -> int:
    from hgan.runtime.formats import KINDS

    print(f"hgan {__version__}, Python {platform.python_version()}")
    print_visible(f"index: {_own_index()}")
    print("reads:")
    width = max(len(kind.name) for kind in KINDS)
    for kind in KINDS:
        suffixes = " ".join(sorted(kind.suffixes))
        shown = suffixes if kind.readable else f"not yet: {kind.advice}  ({suffixes})"
        print(f"  {kind.name:{width}}  {shown}")
    return 0


def _own_index() -> str:
    """The default index and what it contains, on one line."""
    from hgan.index.store.open import read_manifest

    where = default_index()
    try:
        manifest = read_manifest(where)
    except HganError as error:
        return str(error)
    count = "" if manifest.points is None else f"{manifest.points:,} "
    return f"{where}, {count}{manifest.holds} of {manifest.root}"


INFO = Verb(
    summary="Show the version, your own index, and which files can be read.",
    details=(
        "Files of some kinds can be read once an extra of this package is installed; the line\n"
        "that installs it is shown. Your own index is the one that commands use without --to or\n"
        "--index: $HGAN_INDEX, or else a folder in your user data."
    ),
    examples=("hgan info",),
    arguments=_no_arguments,
    run=_info,
)
