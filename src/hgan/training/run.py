"""One run of a sweep, and how far it is: told by the files of its folder, of whoever wrote them.

`config.json` holds its settings, `log.csv` a row for each finished epoch, `SPLIT.json` the record
of its evaluation, `minutes.json` how long it was trained.
"""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hgan.config import Config
from hgan.errors import ConfigError
from hgan.files import jsonable, write_json
from hgan.training.trainer import run_folder

MINUTES = "minutes.json"


@dataclass(frozen=True)
class Run:
    """One system with one seed."""

    system: str
    config: Config
    arguments: tuple[str, ...]
    """Those of `hgan train` that give this config."""

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
        level = "rsum_S" if "rsum_S" in levels else levels[0]
        return max(float(row[level]) for row in rows)

    def minutes(self) -> float | None:
        """How long training took, all its parts together; None where no sweep trained it."""
        found = _read_json(self.folder / MINUTES)
        return float(found["training"]) if found else None

    def add_minutes(self, minutes: float) -> None:
        """Remember that training went on for so long."""
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
            f"{run.folder}: holds {split}.json but no config.json that can be read, so nobody "
            "knows what it is the record of; restore that file, or choose other --runs"
        )
    if other := _other_settings(settings, jsonable(asdict(run.config))):
        raise ConfigError(
            f"{run.folder}: holds a run with other settings ({', '.join(other)}); set them back, "
            "or choose other --runs"
        )
    log = run.log()
    return record is not None and (not log or len(log) >= run.config.optim.epochs)


def _other_settings(found: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Names of settings that differ; one that was not there yet had today's default value."""
    default = jsonable(asdict(Config()))
    other = []
    for section in (name for name, value in asked.items() if isinstance(value, dict)):
        before = default[section] | found.get(section, {})
        names = sorted(set(before) | set(asked[section]))
        other += [
            f"{section}.{name}: {before.get(name)} there, {asked[section].get(name)} asked"
            for name in names
            if before.get(name) != asked[section].get(name)
        ]
    return other


def _read_json(path: Path) -> Any:
    """A JSON file's value, None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
