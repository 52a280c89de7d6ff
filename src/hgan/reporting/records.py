"""Find and check the evaluation records of many runs, and group them by system.

A record consists of `SPLIT.json` (metrics) and `SPLIT.npz` (ranks) in the folder of a run; weights
are not needed. Missing and damaged records are listed, and the others are used.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.encoded import final_level
from hgan.errors import DataError
from hgan.evaluation.metrics import recall
from hgan.evaluation.types import CUTOFFS, DIRECTIONS, RECORD_VERSION
from hgan.files import parse_json

_NEEDED = ("seed", "captions", "split", "photos", "texts", "val_rsum", "cost", "weights")
_SEED = re.compile(r"seed\d+")


@dataclass(frozen=True, eq=False)
class Record:
    """The evaluation of one run on one split."""

    system: str
    """Folder of the run without the seed, relative to the folder that was searched."""
    folder: Path
    figures: dict[str, Any]
    """Content of SPLIT.json."""
    ranks: dict[str, tuple[np.ndarray, np.ndarray]]
    """By level: ranks of the photos' best captions (N) and of the captions' photos (T), from 0."""
    top_texts: np.ndarray
    """(N, 5) positions of the top captions by the final score."""
    top_images: np.ndarray
    """(T, 5) positions of the top photos by the final score."""
    minutes: float | None
    """Duration of the training in minutes; None if it was not measured by a sweep."""

    @property
    def final(self) -> str:
        """Name of the final score: S, or the only level."""
        return final_level(self.ranks)

    @property
    def final_ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """(N) and (T) ranks by the final score."""
        return self.ranks[self.final]

    @property
    def data(self) -> tuple[str, int, int]:
        """Name of the data set, number of photos, and number of captions. Records can be compared
        if these are equal."""
        # Only the last two parts, since the path can differ between machines.
        name = "/".join(Path(self.figures["captions"]).parts[-2:])
        return name, self.figures["photos"], self.figures["texts"]

    @property
    def name(self) -> str:
        """System and seed for display; an ensemble of several seeds has no seed."""
        seed = self.figures["seed"]
        return self.system if seed is None else f"{self.system}, seed {seed}"

    @property
    def is_ensemble(self) -> bool:
        """Whether this is the record of an ensemble, the mean score of several models."""
        return bool(self.figures.get("ensemble"))

    def metrics(self, protocol: str) -> dict[str, Any]:
        """Metrics of the final score with a protocol.

        Raises:
            DataError: the record does not contain this protocol.
        """
        protocols = self.figures["protocols"]
        if protocol not in protocols:
            raise DataError(
                f"{self.folder}: has no results for protocol {protocol}, only for "
                f"{', '.join(protocols)}; add them with `hgan evaluate "
                f"{self.figures['checkpoint']} --split {self.figures['split']} "
                f"--protocol {protocol}`"
            )
        return protocols[protocol][self.final]


def find_records(roots: Sequence[Path], split: str) -> tuple[dict[str, list[Record]], list[str]]:
    """Find all records of a split in the folders and their subfolders.

    Returns:
        The records by system, sorted by seed, and a message for each record that cannot be used.

    Raises:
        DataError: there are no records, two have the same system and seed, or they are of several
            data sets.
    """
    found: dict[Path, Record] = {}
    problems: list[str] = []
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; name one that contains runs")
        for folder in _run_folders(root, split):
            if folder.resolve() in found:
                continue
            try:
                record = read_record(folder, split, _system(folder, root))
                found[folder.resolve()] = record
            except DataError as error:
                problems.append(str(error))
    records = sorted(found.values(), key=lambda r: (r.system, r.figures["seed"] or 0))
    if not records:
        where = ", ".join(map(str, roots))
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise DataError(
            f"{where}: no records of split {split!r} found; create them with "
            f"`hgan evaluate RUN/seedS/best --split {split}`{listed}"
        )
    _check_unique(records)
    _check_same_data(records)
    systems: dict[str, list[Record]] = {}
    for record in records:
        systems.setdefault(record.system, []).append(record)
    return systems, problems


def read_record(folder: Path, split: str, system: str) -> Record:
    """Read and check one record.

    Raises:
        DataError: it is missing, damaged, or of another version, or its ranks and metrics do not
            match.
    """
    file, arrays = folder / f"{split}.json", folder / f"{split}.npz"
    again = f"create it with `hgan evaluate {folder / 'best'} --split {split}`"
    if not file.exists():
        raise DataError(f"{file}: missing, since the run is not evaluated; {again}")
    try:
        figures = parse_json(file.read_text(encoding="utf-8"))
        if figures["format_version"] != RECORD_VERSION:
            raise DataError(f"{file}: version {figures['format_version']} is unknown; {again}")
        if missing := [name for name in _NEEDED if name not in figures]:
            raise DataError(f"{file}: has no {', '.join(missing)}; {again}")
        levels = list(figures["protocols"]["full"])
        first, second = DIRECTIONS
        with np.load(arrays, allow_pickle=False) as stored:
            ranks = {
                name: (stored[f"{first}/{name}"], stored[f"{second}/{name}"]) for name in levels
            }
            top = stored["top_texts"], stored["top_images"]
        record = Record(system, folder, figures, ranks, *top, _minutes(folder))
        _check_ranks(record)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: it or its .npz file is damaged ({error!r}); {again}") from error
    return record


def read_split(record: Record) -> Captions:
    """Read the photos and captions of a record.

    Raises:
        DataError: the caption file is missing or has changed.
    """
    path, split = Path(record.figures["captions"]), record.figures["split"]
    _, photos, texts = record.data
    captions = read_captions(path).split(split)
    if (len(captions.images), len(captions.texts)) != (photos, texts):
        raise DataError(
            f"{path}: has {len(captions.images)} photos and {len(captions.texts)} captions in "
            f"{split}, but the records have {photos} and {texts}; evaluate the runs again"
        )
    return captions


def label_of(records: Sequence[Record]) -> str:
    """Name of a system for display; ensembles are marked."""
    ensemble = any(record.is_ensemble for record in records)
    return f"{records[0].system} (ensemble)" if ensemble else records[0].system


def together(values: Sequence[Any]) -> str:
    """Join the values of an ensemble's models for display; equal values are shown only once."""
    return " + ".join("?" if value is None else str(value) for value in dict.fromkeys(values))


def _run_folders(root: Path, split: str) -> list[Path]:
    """Folders with a record, and folders of trained runs, which should have one."""
    records = {file.parent for file in root.rglob(f"{split}.json")}
    runs = {file.parent for file in root.rglob("config.json") if _SEED.fullmatch(file.parent.name)}
    return sorted(records | runs)


def _system(folder: Path, root: Path) -> str:
    above = folder.parent if _SEED.fullmatch(folder.name) else folder
    inside = above.is_relative_to(root) and above != root
    return above.relative_to(root).as_posix() if inside else above.resolve().name


def _minutes(folder: Path) -> float | None:
    try:
        return float(parse_json((folder / "minutes.json").read_text(encoding="utf-8"))["training"])
    except FileNotFoundError:
        return None


def _check_ranks(record: Record) -> None:
    """Check the shapes, and that the metrics match the ranks."""
    _, photos, texts = record.data
    for name, (of_images, of_texts) in record.ranks.items():
        if of_images.shape != (photos,) or of_texts.shape != (texts,):
            raise ValueError(f"ranks of {name} are not for {photos} photos and {texts} captions")
        rsum = sum(recall(ranks, k) for ranks in (of_images, of_texts) for k in CUTOFFS)
        stated = record.figures["protocols"]["full"][name]["rsum"]
        if abs(rsum - stated) > 1e-3:
            raise ValueError(f"rSum of {name} is {stated:.2f} in one file, {rsum:.2f} in the other")
    if len(record.top_texts) != photos or len(record.top_images) != texts:
        raise ValueError(f"the top candidates are not for {photos} photos and {texts} captions")


def _check_unique(records: list[Record]) -> None:
    seen: dict[tuple[str, Any], Record] = {}
    for record in records:
        first = seen.setdefault((record.system, record.figures["seed"]), record)
        if first is not record:
            raise DataError(
                f"{first.folder} and {record.folder} are both seed {record.figures['seed']} of "
                f"{record.system!r}; name their common parent folder, or only one of them"
            )


def _check_same_data(records: list[Record]) -> None:
    counts = Counter(record.data for record in records)
    if len(counts) > 1:
        listed = "; ".join(
            f"{name} ({photos:,} photos, {texts:,} captions): {count} records"
            for (name, photos, texts), count in counts.items()
        )
        raise DataError(
            f"the records are of several data sets: {listed}; name folders with runs of only one"
        )
