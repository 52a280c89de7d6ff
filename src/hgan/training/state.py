"""What a run has reached, and its files: the state to resume from, the best checkpoint, the log."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hgan.errors import ConfigError, DataError
from hgan.files import recover_folder, write_json
from hgan.model.io import TrainedModel
from hgan.processes import ALONE, Processes
from hgan.progress import console
from hgan.training.agreement import check_state
from hgan.training.checkpoint import (
    load_state,
    random_state,
    save_state,
    set_random_state,
    size_of,
)
from hgan.training.config import Config
from hgan.training.folder import STOPPED, not_saved, run_folder
from hgan.training.monitor import plot_curves, write_log
from hgan.training.settings import other_settings


class RunState:
    """The state of a run, and where it is stored.

    Attributes:
        folder: the folder of the run.
        history: for each finished epoch, a row of values such as the loss.
        best: `rsum` and `epoch` of the best checkpoint.
        saved: number of epochs whose checkpoint is on disk.
    """

    def __init__(
        self, config: Config, parts: Mapping[str, Any], processes: Processes = ALONE
    ) -> None:
        """Begin a run.

        Args:
            config: its settings.
            parts: what has a state, by name: `network`, `averaged`, `optimizer` and others, with
                the methods `state_dict` and `load_state_dict`.
            processes: the processes of the run; all of them load, and the first writes.
        """
        self.folder = run_folder(config)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"rsum": -1.0, "epoch": 0}
        self.saved = 0
        self._config, self._parts, self._processes = config, parts, processes

    def open_folder(self, resume: bool) -> None:
        """Continue the run in the folder, if there is one, or begin it there.

        Raises:
            ConfigError: the folder contains a run, and `resume` is false, or the run has other
                settings.
            DataError: the state of the run is damaged, or is that of another model.
            TrainingError: the folder cannot be written.
        """
        state = self.folder / "last"
        if self._processes.is_first:
            recover_folder(state)
            recover_folder(self.folder / "best")
        check_state(self._processes, state)
        if state.exists() and not resume:
            raise ConfigError(
                f"{self.folder}: already contains a run; continue it with --resume, or choose "
                "another --run"
            )
        if state.exists():
            self._load(load_state(state))
            console.print(f"resuming after epoch {len(self.history)} of {self.folder}")
        if not self._processes.is_first:
            return
        with self._writing():
            (self.folder / STOPPED).unlink(missing_ok=True)  # the cause may be gone
            if self.history:
                self._write_history()  # the process may have ended before it was written
            else:
                write_json(self.folder / "config.json", self._config.as_dict())

    def save(self, row: dict[str, float], rsum: float, best: Callable[[], TrainedModel]) -> None:
        """Save the model if it is the best so far, the state for resuming, the log and the plot.

        Args:
            row: the row of the finished epoch, the last of the history.
            rsum: what the best checkpoint is chosen by.
            best: makes the model to save if it is the best so far.

        Raises:
            TrainingError: a file cannot be written.
        """
        if is_better := rsum > self.best["rsum"]:
            self.best = {"rsum": rsum, "epoch": int(row["epoch"])}
        if self._processes.is_first:
            with self._writing():
                if is_better:
                    best().save_pretrained(self.folder / "best")
                save_state(self.folder / "last", self._values())
                self.saved = len(self.history)
                self._write_history()
        self.saved = len(self.history)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise `TrainingError` if a file cannot be written."""
        try:
            yield
        except OSError as error:
            values = self._values()
            size = size_of(values) + size_of(values["averaged"])
            raise not_saved(self.folder, error, size, self.saved) from error

    def _write_history(self) -> None:
        write_log(self.folder / "log.csv", self.history)
        plot_curves(self.folder / "curves.png", self.history)

    def _values(self) -> dict[str, Any]:
        return {
            **{name: part.state_dict() for name, part in self._parts.items()},
            "random": random_state(),
            "history": self.history,
            "best": self.best,
            "settings": self._config.as_dict(),
        }

    def _load(self, values: dict[str, Any]) -> None:
        other = other_settings(values["settings"], self._config)
        if other:
            raise ConfigError(
                f"{self.folder}: the run to resume has other settings ({', '.join(other)}); "
                "use those settings, or choose another --run"
            )
        try:
            for name, part in self._parts.items():
                part.load_state_dict(values[name])
            self.history, self.best = values["history"], values["best"]
            self.saved = len(self.history)
            set_random_state(values["random"])
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{self.folder / 'last'}: does not fit the model of these data and settings "
                f"({' '.join(str(error).split()):.200}); were the captions or features changed? "
                "Choose another --run"
            ) from error
