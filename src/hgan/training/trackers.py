"""Experiment trackers that record a run too: TensorBoard, Weights & Biases, MLflow and trackio.

They get what `log.csv` has for each epoch as `epoch/NAME`, and the loss and the learning rate of
each step as `step/NAME`. Both are at the number of the step, counted from 1 over the whole run.
A resumed run continues its own run of the tracker; `trackers.json` in its folder has the ids.
"""

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate.tracking import (
    GeneralTracker,
    MLflowTracker,
    TensorBoardTracker,
    TrackioTracker,
    WandBTracker,
)

from hgan.errors import ConfigError
from hgan.files import parse_json, write_json
from hgan.progress import console
from hgan.training.config import Config

PROJECT = "hgan"
"""Project or experiment of all runs, unless the tracker's environment variable names another."""
IDS = "trackers.json"


class Trackers:
    """The trackers of a run that work so far."""

    def __init__(self, started: dict[str, GeneralTracker]) -> None:
        self.started = started

    def log(self, kind: str, values: dict[str, float], step: int) -> None:
        """Record values. A tracker that fails gets no more of them, and a warning says so: the run
        is worth more, and `log.csv` has its values.

        Args:
            kind: `step` or `epoch`, the first part of the names.
            values: values by name.
            step: number of training steps so far.
        """
        named = {f"{kind}/{name}": value for name, value in values.items()}
        for name, tracker in list(self.started.items()):
            try:
                tracker.log(named, step=step)
            except Exception as error:
                del self.started[name]
                with suppress(Exception):
                    _finish(tracker)
                console.print(
                    f"track: {name} failed at step {step} ({_reason(error)}); the run goes on "
                    "without it, and log.csv is complete",
                    style="bold red",
                    markup=False,
                )


def check_trackers(names: Sequence[str]) -> None:
    """Check that the packages of trackers are installed.

    Raises:
        ConfigError: a package is missing.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        raise ConfigError(
            f"track: {' and '.join(missing)}: not installed; pip install {' '.join(missing)}, or "
            f"remove {'it' if len(missing) == 1 else 'them'} from track"
        )


@contextmanager
def tracking(config: Config, folder: Path, step: int) -> Iterator[Trackers]:
    """Start the trackers of a run, and end them after the block.

    Args:
        config: settings of the run, which are recorded at its start.
        folder: the folder of the run.
        step: number of training steps so far; 0 for a new run.

    Raises:
        ConfigError: a tracker cannot be started.
    """
    trackers = Trackers({})
    keys = _read_keys(folder) if step else {}
    try:
        for name in dict.fromkeys(map(str, config.track)):
            run = _Run(config, folder, step, keys.get(name))
            with redirect_stdout(sys.stderr):  # standard output is for the result of `hgan train`
                trackers.started[name], keys[name] = _start(name, run)
        if keys:
            write_json(folder / IDS, keys)
        yield trackers
    finally:
        for name, tracker in trackers.started.items():
            try:
                _finish(tracker)
            except Exception as error:
                console.print(f"track: {name} did not end well ({_reason(error)})", markup=False)


@dataclass(frozen=True)
class _Run:
    """A run, for a tracker that is started."""

    config: Config
    folder: Path
    step: int
    key: str | None
    """Id of the run in the tracker; None if it does not know the run yet."""

    @property
    def name(self) -> str:
        """Name of the run for people."""
        return f"{self.config.run.name}/seed{self.config.seed}"

    def settings(self) -> dict[str, Any]:
        """All settings by full name; a value is a number, a text, or JSON."""
        flat: dict[str, Any] = {}
        for section, values in self.config.as_dict().items():
            own = values if isinstance(values, dict) else {"": values}
            flat |= {f"{section}.{key}".rstrip("."): value for key, value in own.items()}
        plain = bool, int, float, str
        return {k: v if isinstance(v, plain) else json.dumps(v) for k, v in flat.items()}


def _start(name: str, run: _Run) -> tuple[GeneralTracker, str]:
    """A started tracker, and the id that it gives the run."""
    make, key_of = _KINDS[name]
    try:
        tracker = make(run)
        tracker.start()
        if run.key is None:
            _store_settings(tracker, run)
        return tracker, key_of(tracker)
    except Exception as error:  # of any package
        raise ConfigError(
            f"track: {name} cannot be started ({_reason(error)}); see its documentation, or remove "
            "it from track"
        ) from error


def _store_settings(tracker: GeneralTracker, run: _Run) -> None:
    if isinstance(tracker, TensorBoardTracker):
        # Accelerate's own method writes them into a folder that looks like another run.
        tracker.writer.add_hparams(run.settings(), {}, run_name=".")
    elif not isinstance(tracker, TrackioTracker):  # trackio gets them when it starts
        tracker.store_init_configuration(run.settings())


def _finish(tracker: GeneralTracker) -> None:
    with redirect_stdout(sys.stderr):
        if isinstance(tracker, TrackioTracker):
            import trackio

            trackio.finish()  # the run's own method would be called again at exit, and print
        else:
            tracker.finish()


def _tensorboard(run: _Run) -> GeneralTracker:
    # Steps of an unfinished epoch are repeated, so what is there of them is purged.
    return TensorBoardTracker("tensorboard", run.folder, purge_step=run.step + 1)


def _wandb(run: _Run) -> GeneralTracker:
    project = os.environ.get("WANDB_PROJECT", PROJECT)
    key = run.key or secrets.token_hex(4)
    return WandBTracker(project, name=run.name, id=key, resume="allow", dir=run.folder)


def _mlflow(run: _Run) -> GeneralTracker:
    return MLflowTracker(PROJECT, run_id=run.key, run_name=run.name)


def _trackio(run: _Run) -> GeneralTracker:
    key = run.key or f"{run.name}-{secrets.token_hex(4)}"  # it continues runs by name
    return TrackioTracker(PROJECT, name=key, resume="allow", config=run.settings())


_KINDS: dict[str, tuple[Callable[[_Run], GeneralTracker], Callable[[Any], str]]] = {
    "tensorboard": (_tensorboard, lambda made: made.run_name),
    "wandb": (_wandb, lambda made: made.tracker.id),
    "mlflow": (_mlflow, lambda made: made.tracker.info.run_id),
    "trackio": (_trackio, lambda made: made.tracker.name),
}
"""For each tracker, how it is made, and the id that it has given a run."""


def _read_keys(folder: Path) -> dict[str, str]:
    """The ids of a run by tracker; none if the file is missing or damaged."""
    with suppress(OSError, ValueError):
        found = parse_json((folder / IDS).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return {str(name): str(key) for name, key in found.items()}
    return {}


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text:.200}"
