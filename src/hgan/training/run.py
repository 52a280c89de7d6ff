"""One run of a sweep and its progress, as the files of its folder show it.

`config.json` holds its settings, `log.csv` a row for each finished epoch, `SPLIT.json` the record
of its evaluation, `minutes.json` how long it was trained.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgan.encoded import final_level
from hgan.errors import ConfigError
from hgan.files import write_json
from hgan.training.config import Config
from hgan.training.settings import other_settings
from hgan.training.trainer import run_folder

MINUTES = "minutes.json"


@dataclass(frozen=True)
class Run:
    """One system with one seed."""

    system: str
    config: Config
    arguments: tuple[str, ...]
    """Those of `hgan train` that give this config."""
    plugins: tuple[str, ...] = ()
    """Files that training and evaluation load first."""

    @property
    def folder(self) -> Path:
        """Where its files go."""
        return run_folder(self.config)

    def log(self) -> list[dict[str, str]]:
        """A row for each finished epoch."""
        try:
            with (self.folder / "log.csv").open(newline="", encoding="utf-8") as file:
                # A row that is being written may lack its end.
                return [row for row in csv.DictReader(file) if all(row.values())]
        except FileNotFoundError:
            return []

    def best_rsum(self) -> float | None:
        """The highest rSum on validation so far."""
        rows = self.log()
        levels = [name for name in (rows[0] if rows else {}) if name.startswith("rsum_")]
        if not levels:
            return None
        level = final_level(name.removeprefix("rsum_") for name in levels)
        return max(float(row[f"rsum_{level}"]) for row in rows)

    def minutes(self) -> float | None:
        """How long training took, all its parts together; None where no sweep trained it."""
        found = _read_json(self.folder / MINUTES)
        return float(found["training"]) if found else None

    def add_minutes(self, minutes: float) -> None:
        """Add the minutes of one more part of training."""
        write_json(self.folder / MINUTES, {"training": (self.minutes() or 0.0) + minutes})


def is_done(run: Run, split: str) -> bool:
    """Whether the run's record is there; its weights need not be.

    Raises:
        ConfigError: the folder holds a run with other settings.
    """
    record = _read_json(run.folder / f"{split}.json")
    settings = _read_json(run.folder / "config.json")
    if settings is None:
        if record is None:
            return False
        raise ConfigError(
            f"{run.folder}: holds {split}.json but no config.json that can be read, so it "
            "is not known which run was evaluated; restore that file, or choose other --runs"
        )
    if other := other_settings(settings, run.config):
        raise ConfigError(
            f"{run.folder}: holds a run with other settings ({', '.join(other)}); set them back, "
            "or choose other --runs"
        )
    log = run.log()
    return record is not None and (not log or len(log) >= run.config.optim.epochs)


def _read_json(path: Path) -> Any:
    """A JSON file's value, None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
