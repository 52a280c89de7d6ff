"""Read WebDataset's shards: tar archives with `000001.jpg` and `000001.txt` or `000001.json`.

Nothing is unpacked: the members are read one after the other, links and other special members are
left out, and a member's name is never a path on disk as it is. `tarfile` is enough for that; the
package `webdataset` reads from commands and URLs too, which a conversion should not.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hgan.data.captions.types import Problem, Record, split_name
from hgan.data.conversion.samples import CAPTIONS, Sample, named_split, set_row_ids, texts_of
from hgan.errors import DataError
from hgan.files import parse_json
from hgan.runtime.formats import kind_of
from hgan.runtime.photo_file import LARGEST_PHOTO, TOO_LARGE

LONGEST_TEXT = 2**20
"""Maximum size of a member with captions in bytes."""
MOST_SHARDS = 100_000
_DAMAGED = (
    tarfile.TarError,
    OSError,
    EOFError,
    ValueError,
    # A header can name impossible sizes, and can be followed by headers without end.
    MemoryError,
    OverflowError,
    RecursionError,
)
"""What `tarfile` raises for damaged archives."""
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def has_shards(source: Path) -> bool:
    """Whether a path is a tar archive, a pattern of several, or a folder with some."""
    if source.is_dir():
        return next(source.glob("*.tar"), None) is not None
    return source.suffix == ".tar"


def read_shards(source: Path, column: str | None, split: str | None) -> Iterator[Sample | Problem]:
    """The samples of all shards. The name of a photo is that of its shard and its key.

    Args:
        source: an archive, a pattern such as `shards/{000000..000009}.tar`, or a folder.
        column: the key of the captions in JSON; by default one of `CAPTIONS`.
        split: the split of photos, unless it is in their JSON or in the name of the shard.

    Raises:
        DataError: a shard is missing or damaged.
    """
    shards = sorted(source.glob("*.tar")) if source.is_dir() else expand(source)
    if missing := [shard for shard in shards if not shard.is_file()]:
        raise DataError(
            f"{missing[0]}: no such file; {len(missing):,} of {len(shards):,} shards are missing"
        )
    for shard in shards:
        own = named_split(PurePosixPath(shard.name)) or split_name(split)
        for group in _groups(shard):
            yield from group.samples(column, own)


def expand(pattern: Path) -> list[Path]:
    """The paths of a pattern with ranges, such as `{000000..000009}`, which keep leading zeros.

    Raises:
        DataError: a range goes backwards, or there are too many paths.
    """
    text = str(pattern)
    match = _RANGE.search(text)
    if match is None:
        return [pattern]
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < MOST_SHARDS:
        raise DataError(f"{pattern}: {match[0]} is not a range of 1 to {MOST_SHARDS:,} numbers")
    width = len(match[1])
    start, end = text[: match.start()], text[match.end() :]
    paths = (Path(f"{start}{number:0{width}}{end}") for number in range(first, last + 1))
    return [path for each in paths for path in expand(each)]


@dataclass
class _Group:
    """The members of one sample."""

    shard: Path
    key: str
    photo: bytes | None = None
    suffix: str = ""
    text: str = ""
    values: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"{self.shard}: {self.key}"

    def samples(self, column: str | None, split: str | None) -> Iterator[Sample | Problem]:
        """The sample, or what is wrong with it."""
        if self.problems:
            yield Problem("left out", self.where, "; ".join(self.problems))
            return
        if self.photo is None:
            yield Problem("left out", self.where, "no photo")
            return
        names = [column] if column else [name for name in CAPTIONS if name in self.values][:1]
        texts = [text for name in names for text in texts_of(self.values.get(name))]
        texts = [text.strip() for text in texts or texts_of(self.text)]
        own = self.values.get("split")
        record = Record(
            image=f"{self.shard.stem}/{self.key}{self.suffix}",
            split=split_name(own) if isinstance(own, str) and own.strip() else split,
            where=self.where,
            captions=texts,
            places=[self.where] * len(texts),
        )
        set_row_ids(record, self.values)
        yield Sample(record, self.photo)

    def add(self, ending: str, data: bytes) -> None:
        """Add a member of a known ending."""
        try:
            if ending == "txt":
                self.text = data.decode("utf-8-sig")
            elif ending == "json":
                values = parse_json(data)
                self.values = values if isinstance(values, dict) else {}
            elif self.photo is None:
                self.photo, self.suffix = data, f".{ending}"
        except ValueError as error:
            self.problems.append(f".{ending} cannot be read ({error})")


def _groups(shard: Path) -> Iterator[_Group]:
    """The samples of a shard: consecutive members whose names are equal up to the first dot."""
    group: _Group | None = None
    for key, ending, problem, data in _members(shard):
        if group is None or group.key != key:
            if group is not None:
                yield group
            group = _Group(shard, key)
        if problem:
            group.problems.append(f".{ending} is {problem}")
        else:
            group.add(ending, data)
    if group is not None:
        yield group


def _members(shard: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Key, ending, problem and content of the members that a sample can have.

    Raises:
        DataError: it is not a tar archive, compressed, or damaged.
    """
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                ending = ending.lower()
                is_photo = "." not in ending and kind_of(f"a.{ending}") is not None
                if not stem or not (is_photo or ending in ("txt", "json")):
                    continue  # a folder, `.cls` with the number of a class, and others
                problem = _problem(member, is_photo)
                file = None if problem else archive.extractfile(member)
                data = b"" if file is None else file.read()
                yield f"{folder}/{stem}".lstrip("/"), ending, problem, data
            raw = archive.fileobj
            assert raw is not None
            raw.seek(archive.offset)
            if any(raw.read(tarfile.BLOCKSIZE)):  # tarfile stops there without an error
                raise tarfile.ReadError(f"no header of a member at byte {archive.offset:,}")
    except _DAMAGED as error:
        raise DataError(
            f"{shard}: not a tar archive without compression, or damaged "
            f"({str(error) or type(error).__name__}); copy it again"
        ) from error


def _problem(member: tarfile.TarInfo, is_photo: bool) -> str:
    """The reason why a member is not read; empty if it is."""
    # A sparse one of a few bytes would be read as many zeros.
    if not member.isreg() or member.issparse():
        return "a link or another special member"
    if is_photo:
        return TOO_LARGE if member.size > LARGEST_PHOTO else ""
    return f"larger than {LONGEST_TEXT // 2**20} MB" if member.size > LONGEST_TEXT else ""
