"""Read the lists of captions and ids of a folder in SCAN's format.

`{split}_caps.txt` has one caption per line, and `{split}_ids.txt` one photo id per line; line i
belongs to row i of the arrays of the split (`hgan.data.features.precomp`). In the usual files,
train lists each photo once, and dev and test repeat it for each of its captions. The captions of a
photo are found from the ids; no fixed number of captions per photo is assumed.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hgan.data.captions.types import Problem, Record, split_name
from hgan.files import parse_json

_SPLITS = ("train", "dev", "test", "testall")
_MAPPING = "id_mapping.json"


def splits(folder: Path, ending: str) -> list[str]:
    """Splits with a file of this ending. `test` is left out if there is `testall`, which includes
    it."""
    found = [split for split in _SPLITS if (folder / f"{split}_{ending}").is_file()]
    return [split for split in found if split != "test" or "testall" not in found]


def name_of(split: str) -> str:
    """The standard name (train, val or test) of a split in SCAN's format."""
    return split_name(split.removesuffix("all")) or split


def scan_precomp(folder: Path) -> Iterator[Record | Problem]:
    """Photos of all splits that have captions, and problems of the lists.

    The name of a photo is the file name for its id in `id_mapping.json`, which is in the folder or
    its parent folder; without this file, the name is the id.
    """
    found = splits(folder, "caps.txt")
    if not found:
        text = f"no list of captions for one of the splits {', '.join(_SPLITS)}"
        yield Problem("malformed", str(folder), f"{text}, as in train_caps.txt")
    for split in found:
        photos, problems = read_photos(folder, split)
        yield from problems
        if photos:
            yield from _scan_split(folder, split, photos)


def read_photos(folder: Path, split: str) -> tuple[list[str], list[Problem]]:
    """The photo name of each row of a split ("" if its id is unknown), and problems."""
    path = folder / f"{split}_ids.txt"
    ids, problems = _read_lines(path)
    while ids and not ids[-1]:
        ids.pop()
    if not ids and not problems:
        problems = [Problem("malformed", str(path), "contains no ids; it needs one per line")]
    mapping, wrong = _read_mapping(folder)
    problems += wrong
    names = []
    for number, key in enumerate(ids, 1):
        where = f"{path}:{number}"
        if not key:
            problems.append(Problem("malformed", where, "the line is empty; it needs a photo's id"))
        elif mapping is not None and key not in mapping:
            text = f"id {key} is not in {_MAPPING}; add it, or remove a mapping of other ids"
            problems.append(Problem("malformed", where, text))
        names.append(key if mapping is None else mapping.get(key, ""))
    return names, problems


def _scan_split(folder: Path, split: str, photos: list[str]) -> Iterator[Record | Problem]:
    path, ids_path = folder / f"{split}_caps.txt", folder / f"{split}_ids.txt"
    captions, problems = _read_lines(path)
    yield from problems
    surplus = len(captions) % len(photos)
    if not any(captions[len(captions) - surplus :]):  # a file may end in empty lines
        captions = captions[: len(captions) - surplus]
    if len(captions) % len(photos) or not captions:
        text = (
            f"{len(captions)} captions, but {len(photos)} ids in {ids_path.name}: there must be "
            "one id per caption, or one per photo and the same number of captions for all photos"
        )
        yield Problem("malformed", f"{path}:{max(1, len(captions))}", text)
        return
    share = len(captions) // len(photos)  # captions per id
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(photos):
        if name:
            rows[name].append(row)
    for name, own in rows.items():
        if share > 1 and len(own) > 1:
            text = (
                f"{name} is already in line {own[0] + 1}; a list with {share} captions per id must "
                "have each photo once"
            )
            yield Problem("photo listed twice", f"{ids_path}:{own[1] + 1}", text)
            continue
        lines = [row * share + i for row in own for i in range(share)]
        yield Record(
            image=name,
            split=name_of(split),
            where=f"{ids_path}:{own[0] + 1}",
            captions=[captions[line] for line in lines],
            places=[f"{path}:{line + 1}" for line in lines],
        )


def _read_lines(path: Path) -> tuple[list[str], list[Problem]]:
    """Stripped lines of a UTF-8 file, including empty lines."""
    try:
        data = path.read_bytes()
    except OSError as error:
        what = f"cannot be read ({error.strerror}); a split needs a list of captions and a list of"
        what += " ids"
        return [], [Problem("list missing", str(path), what)]
    problems = []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "not UTF-8 text; save the file as UTF-8"
        problems.append(Problem("not UTF-8", f"{path}:{line}", what))
        text = data.decode("utf-8-sig", errors="replace")
    lines = [line.strip() for line in text.split("\n")]  # not splitlines: U+2028 is no line end
    return lines[:-1] if not lines[-1] else lines, problems


def _read_mapping(folder: Path) -> tuple[dict[str, str] | None, list[Problem]]:
    """File names by id; None if there is no mapping."""
    path = folder / _MAPPING
    if not path.is_file():
        path = folder.absolute().parent / _MAPPING
    if not path.is_file():
        return None, []
    try:
        mapping = parse_json(path.read_bytes().decode("utf-8-sig"))
        if not isinstance(mapping, dict) or not all(map(_is_name, mapping.values())):
            raise ValueError("it must be an object of file names by id")
    except ValueError as error:
        text = f"not a mapping of ids to file names ({error}); correct or remove it"
        return None, [Problem("malformed", str(path), text)]
    return mapping, []


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""
