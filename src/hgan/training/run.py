"""One run of a sweep, and its progress according to the files in its folder.

`config.json` contains its settings, `log.csv` a row for each finished epoch, `SPLIT.json` the
record of its evaluation, and `minutes.json` the duration of its training.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgan.errors import ConfigError
from hgan.files import parse_json, write_json
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.monitor import rsum_of
from hgan.training.settings import other_settings

MINUTES = "minutes.json"


@dataclass(frozen=True)
class Run:
    """One system with one seed."""

    system: str
    config: Config
    arguments: tuple[str, ...]
    """Arguments of `hgan train` for this config."""
    plugins: tuple[str, ...] = ()
    """Plug-in files that training and evaluation load first."""

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return run_folder(self.config)

    def log(self) -> list[dict[str, str]]:
        """A row for each finished epoch."""
        try:
            with (self.folder / "log.csv").open(newline="", encoding="utf-8") as file:
                # A row that is being written can be incomplete.
                return [row for row in csv.DictReader(file) if all(row.values())]
        except FileNotFoundError:
            return []

    def best_rsum(self) -> float | None:
        """The highest rSum on validation so far, by which the checkpoint is chosen, see `rsum_of`;
        None before the first epoch has finished."""
        return max(map(rsum_of, self.log()), default=None)

    def minutes(self) -> float | None:
        """Duration of the training in minutes, summed over interruptions; None if it was not
        measured, since only sweeps measure it."""
        found = _read_json(self.folder / MINUTES)
        return float(found["training"]) if found else None

    def add_minutes(self, minutes: float) -> None:
        """Add the duration of another part of the training."""
        write_json(self.folder / MINUTES, {"training": (self.minutes() or 0.0) + minutes})


def is_done(run: Run, split: str) -> bool:
    """Whether the run is trained and evaluated; its weights may have been deleted.

    Raises:
        ConfigError: the folder contains a run with other settings.
    """
    record = _read_json(run.folder / f"{split}.json")
    settings = _read_json(run.folder / "config.json")
    if settings is None:
        if record is None:
            return False
        raise ConfigError(
            f"{run.folder}: contains {split}.json but no readable config.json, so the settings of "
            "the evaluated run are unknown; restore config.json, or choose other --runs"
        )
    if other := other_settings(settings, run.config):
        raise ConfigError(
            f"{run.folder}: contains a run with other settings ({', '.join(other)}); use those "
            "settings, or choose other --runs"
        )
    log = run.log()
    return record is not None and (not log or len(log) >= run.config.optim.epochs)


def _read_json(path: Path) -> Any:
    """The content of a JSON file; None if it is missing or damaged."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
