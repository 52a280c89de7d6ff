"""The verbs `backup` and `restore`: an index as one file."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb
from hgan.terminal import print_visible


def _backup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("index", type=str, metavar="INDEX", help="the folder of the index")
    parser.add_argument(
        "file", type=str, metavar="FILE", help="the file to create, such as holidays.backup"
    )


def _backup(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.index.backup import backup_index

    done = backup_index(chosen.index, chosen.file)
    print_visible(f"{done.size / 1e6:,.1f} MB: {chosen.file}")
    return 0


def _restore_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", type=str, metavar="FILE", help="a file that `hgan backup` has created"
    )
    parser.add_argument(
        "index", type=str, metavar="INDEX", help="the folder of the index, new or empty"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="replace the index that is there, once the backup has been checked and unpacked",
    )


def _restore(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.index.backup import restore_index

    manifest = restore_index(chosen.file, chosen.index, chosen.replace)
    if not manifest.has_bundle:
        print_visible(
            f"its model, {manifest.bundle_name}, is not in {manifest.bundle_path} on this machine",
            file=sys.stderr,
        )
    for place in manifest.roots.by_name.values():
        if isinstance(place, Path) and not place.exists():
            print_visible(f"its {manifest.holds} are not in {place} here", file=sys.stderr)
    print_visible(f"{manifest.points:,} {manifest.holds}: {chosen.index}")
    return 0


BACKUP = Verb(
    summary="Copy an index into one file.",
    details=(
        "The file has the vectors, the metadata and the tags that users added, with checksums,\n"
        "and can be read by its owner only. It has neither the photos nor the model. An index\n"
        "that `hgan serve` has open can be copied: searches go on, and uploads wait. An index on\n"
        "a Qdrant server is backed up by the server; the commands for that are printed."
    ),
    examples=(
        "hgan backup holidays.index holidays.backup",
        "hgan backup holidays.index /backup/holidays.backup",
    ),
    arguments=_backup_arguments,
    run=_backup,
)

RESTORE = Verb(
    summary="Restore an index from the file of a backup.",
    details=(
        "Names, sizes, checksums and versions are checked, and the index is opened once, before\n"
        "it is taken into use. If this fails or is interrupted, an index that is replaced is as\n"
        "it was. Photos and model must be where they were when the index was made."
    ),
    examples=(
        "hgan restore holidays.backup holidays.index",
        "hgan restore holidays.backup holidays.index --replace",
    ),
    arguments=_restore_arguments,
    run=_restore,
)
