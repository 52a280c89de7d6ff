"""Move photos out of their folders, with the files that belong to them, so that they can be moved
back.

Each move is written to `moved.jsonl` in the new folder before it is made, so that it can be undone
also after an interruption. Nothing is overwritten.
"""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from hgan.errors import DataError
from hgan.files import parse_json
from hgan.sources.belongings import belongings
from hgan.sources.roots import Roots

LOG = "moved.jsonl"


def move_out(roots: Roots, inside: Iterable[str], to: Path) -> list[Path]:
    """Move photos, and the files that belong to them, to another folder, to the same paths.

    Args:
        roots: the folders of the photos.
        inside: paths in the index.
        to: the new folder; it is created. It must not be in a folder of photos, where the photos
            would be indexed again.

    Returns:
        The new places of the photos and these files.

    Raises:
        DataError: the folder is not allowed, or a photo cannot be moved; photos that were moved
            before are in the log.
    """
    to = to.resolve()
    for folder in roots.by_name.values():
        if to.is_relative_to(Path(folder).resolve()):
            raise DataError(
                f"{to}: is in {folder}, where the photos would be indexed again; choose a folder "
                "outside"
            )
    moved = []
    to.mkdir(parents=True, exist_ok=True)
    with (to / LOG).open("a", encoding="utf-8") as log:
        for name in inside:
            photo, place = Path(roots.path(name)), to / name
            for source in [photo, *belongings(photo)]:
                target = place.with_name(source.name)
                log.write(json.dumps({"from": str(source), "to": str(target)}) + "\n")
                log.flush()
                os.fsync(log.fileno())
                _move(source, target)
                moved.append(target)
    return moved


def move_back(folder: Path) -> tuple[list[Path], list[str]]:
    """Undo the moves into a folder, the last one first.

    Returns:
        The places of the photos that were moved back, and why others were not.

    Raises:
        DataError: the folder has no log, or the log is damaged.
    """
    path = folder.resolve() / LOG
    try:
        lines = [parse_json(line) for line in path.read_text("utf-8").splitlines()]
        moves = [(Path(line["from"]), Path(line["to"])) for line in lines]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); nothing was moved") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); nothing was moved back") from error
    for _, target in moves:
        if not target.is_relative_to(path.parent):
            raise DataError(f"{path}: damaged, {target} is not in this folder")
    back, problems, left = [], [], []
    for source, target in reversed(moves):
        try:
            if target.exists() or not source.exists():  # else this move was not made
                _move(target, source)
                back.append(source)
        except DataError as error:
            problems.append(str(error))
            left.append({"from": str(source), "to": str(target)})
    if left:
        path.write_text("".join(json.dumps(line) + "\n" for line in reversed(left)), "utf-8")
    else:
        path.unlink()
    return back, problems


def _move(source: Path, target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise DataError(f"{target}: exists already, and is not overwritten")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
    except (OSError, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{source}: cannot be moved to {target} ({reason})") from error
