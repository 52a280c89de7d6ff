"""The evaluation records of many runs, checked, and grouped by system.

A record is `SPLIT.json` (figures) and `SPLIT.npz` (ranks) in the folder of a run; no weights are
needed. Missing and damaged records are listed, and the others are used.
"""

import json
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

_NEEDED = ("seed", "captions", "split", "photos", "texts", "val_rsum", "cost", "weights")
_SEED = re.compile(r"seed\d+")


@dataclass(frozen=True, eq=False)
class Record:
    """One run's evaluation on one split."""

    system: str
    """Folder of the run without its seed, relative to the folder that was searched."""
    folder: Path
    figures: dict[str, Any]
    """Content of SPLIT.json."""
    ranks: dict[str, tuple[np.ndarray, np.ndarray]]
    """By level: (N) ranks of photos' best captions and (T) of captions' photos, from 0."""
    top_texts: np.ndarray
    """(N, 5) positions of the best captions by the final score."""
    top_images: np.ndarray
    """(T, 5) positions of the best photos by the final score."""
    minutes: float | None
    """Duration of the training, if a sweep measured it."""

    @property
    def final(self) -> str:
        """Name of the score that counts: S, or the only level."""
        return final_level(self.ranks)

    @property
    def final_ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """(N) and (T) ranks by the final score."""
        return self.ranks[self.final]

    @property
    def data(self) -> tuple[str, int, int]:
        """Data set, photos and texts: records can be compared if these are equal."""
        # The last two parts: the folder of all data may be another one on another machine.
        name = "/".join(Path(self.figures["captions"]).parts[-2:])
        return name, self.figures["photos"], self.figures["texts"]

    @property
    def name(self) -> str:
        """System and seed, for display; an ensemble has no seed."""
        seed = self.figures["seed"]
        return self.system if seed is None else f"{self.system}, seed {seed}"

    @property
    def is_ensemble(self) -> bool:
        """Whether the scores of several models were averaged."""
        return bool(self.figures.get("ensemble"))

    def metrics(self, protocol: str) -> dict[str, Any]:
        """Figures of the final score by a protocol.

        Raises:
            DataError: the record lacks that protocol.
        """
        protocols = self.figures["protocols"]
        if protocol not in protocols:
            raise DataError(
                f"{self.folder}: has no figures by protocol {protocol}, only by "
                f"{', '.join(protocols)}; add them with `hgan evaluate "
                f"{self.figures['checkpoint']} --split {self.figures['split']} "
                f"--protocol {protocol}`"
            )
        return protocols[protocol][self.final]


def find_records(roots: Sequence[Path], split: str) -> tuple[dict[str, list[Record]], list[str]]:
    """All records of a split at any depth below the folders, by system, seeds ascending.

    Returns:
        The records, and a message for each record that cannot be used.

    Raises:
        DataError: there is none, two are of the same system and seed, or data sets are mixed.
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
            f"{where}: no record of split {split!r} to report; make them with "
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
        DataError: it is missing, damaged, or of another version; ranks and recalls disagree.
    """
    file, arrays = folder / f"{split}.json", folder / f"{split}.npz"
    again = f"`hgan evaluate {folder / 'best'} --split {split}` writes it"
    if not file.exists():
        raise DataError(f"{file}: missing, the run is not evaluated; {again}")
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
        if figures["format_version"] != RECORD_VERSION:
            raise DataError(f"{file}: version {figures['format_version']} is unknown; {again}")
        if missing := [name for name in _NEEDED if name not in figures]:
            raise DataError(f"{file}: lacks {', '.join(missing)}; {again} again")
        levels = list(figures["protocols"]["full"])
        first, second = DIRECTIONS
        with np.load(arrays, allow_pickle=False) as stored:
            ranks = {name: (stored[f"{first}/{name}"], stored[f"{second}/{name}"])
                     for name in levels}
            top = stored["top_texts"], stored["top_images"]
        record = Record(system, folder, figures, ranks, *top, _minutes(folder))
        _check_ranks(record)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: damaged, or its npz is ({error!r}); {again} again") from error
    return record


def read_split(record: Record) -> Captions:
    """The photos and captions of a record.

    Raises:
        DataError: the caption file is missing or has changed.
    """
    path, split = Path(record.figures["captions"]), record.figures["split"]
    _, photos, texts = record.data
    captions = read_captions(path).split(split)
    if (len(captions.images), len(captions.texts)) != (photos, texts):
        raise DataError(
            f"{path}: has {len(captions.images)} photos and {len(captions.texts)} captions in "
            f"{split}, the records {photos} and {texts}; evaluate the runs again"
        )
    return captions


def label_of(records: Sequence[Record]) -> str:
    """Name of a system for display, with a mark if it is an ensemble."""
    ensemble = any(record.is_ensemble for record in records)
    return f"{records[0].system} (ensemble)" if ensemble else records[0].system


def together(values: Sequence[Any]) -> str:
    """A value of each model of an ensemble, for display; only once if all are equal."""
    return " + ".join("?" if value is None else str(value) for value in dict.fromkeys(values))


def _run_folders(root: Path, split: str) -> list[Path]:
    """Folders that have a record, and those of trained runs, which should have one."""
    records = {file.parent for file in root.rglob(f"{split}.json")}
    runs = {file.parent for file in root.rglob("config.json") if _SEED.fullmatch(file.parent.name)}
    return sorted(records | runs)


def _system(folder: Path, root: Path) -> str:
    above = folder.parent if _SEED.fullmatch(folder.name) else folder
    inside = above.is_relative_to(root) and above != root
    return above.relative_to(root).as_posix() if inside else above.resolve().name


def _minutes(folder: Path) -> float | None:
    try:
        return float(json.loads((folder / "minutes.json").read_text(encoding="utf-8"))["training"])
    except FileNotFoundError:
        return None


def _check_ranks(record: Record) -> None:
    """Check the shapes, and that the figures are those of the ranks."""
    _, photos, texts = record.data
    for name, (of_images, of_texts) in record.ranks.items():
        if of_images.shape != (photos,) or of_texts.shape != (texts,):
            raise ValueError(f"ranks of {name} are not of {photos} photos and {texts} captions")
        rsum = sum(recall(ranks, k) for ranks in (of_images, of_texts) for k in CUTOFFS)
        stated = record.figures["protocols"]["full"][name]["rsum"]
        if abs(rsum - stated) > 1e-3:
            raise ValueError(f"rSum of {name} is {stated:.2f} in one file, {rsum:.2f} in the other")
    if len(record.top_texts) != photos or len(record.top_images) != texts:
        raise ValueError(f"the best candidates are not of {photos} photos and {texts} captions")


def _check_unique(records: list[Record]) -> None:
    seen: dict[tuple[str, Any], Record] = {}
    for record in records:
        first = seen.setdefault((record.system, record.figures["seed"]), record)
        if first is not record:
            raise DataError(
                f"{first.folder} and {record.folder} are both seed {record.figures['seed']} of "
                f"{record.system!r}; name the folder above the two, or only one of them"
            )


def _check_same_data(records: list[Record]) -> None:
    counts = Counter(record.data for record in records)
    if len(counts) > 1:
        listed = "; ".join(
            f"{name} ({photos:,} photos, {texts:,} captions): {count} records"
            for (name, photos, texts), count in counts.items()
        )
        raise DataError(f"the records are of several data sets: {listed}; name runs of one")
