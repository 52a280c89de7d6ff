"""Train and evaluate many runs, each in its own process; an interrupted sweep can be resumed."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hgan.progress import console
from hgan.training.run import Run, is_done

POLL_SECONDS = 0.5
SECONDS_TO_STOP = 10.0
"""Time that a process has to exit before it is killed; its files stay valid in both cases."""

State = Literal["waiting", "training", "evaluating", "done", "failed"]


class Job:
    """The execution of a run: it is trained, then evaluated.

    Attributes:
        run: the run.
        state: its state.
        code: exit code of the process that failed; None if none has failed.
        before: number of epochs that earlier sweeps have finished.
    """

    def __init__(self, run: Run, split: str, threads: str) -> None:
        self.run = run
        self.state: State = "done" if is_done(run, split) else "waiting"
        self.code: int | None = None
        self.before = len(run.log())
        self._split = split
        self._environment = os.environ | {"OMP_NUM_THREADS": threads}
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def running(self) -> bool:
        return self.state in ("training", "evaluating")

    @property
    def log(self) -> Path:
        """File with the output of the processes."""
        return self.run.folder / "train.log"

    def start(self) -> None:
        """Train the remaining epochs of the run; if there are none, only evaluate it."""
        trained = len(self.run.log()) >= self.run.config.optim.epochs
        if trained and (self.run.folder / "best").exists():
            self._evaluate()
        else:
            self._launch("training", ["train", *self._plugins(), *self.run.arguments, "--resume"])

    def poll(self) -> None:
        """Start the next step if the process has ended."""
        if self._process is None or (code := self._process.poll()) is None:
            return
        self._ended()
        record = self.run.folder / f"{self._split}.json"
        if code == 0 and self.state == "training":
            self._evaluate()
        elif code == 0 and record.exists():
            self.state = "done"
        else:
            self.state, self.code = "failed", code

    def stop(self) -> None:
        """Terminate the process; finished epochs stay on disk."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._ended()

    def minutes(self) -> float:
        """Duration of the training so far, in minutes."""
        current = self._seconds() if self.state == "training" else 0.0
        return (self.run.minutes() or 0.0) + current / 60

    def _evaluate(self) -> None:
        best = str(self.run.folder / "best")
        self._launch("evaluating", ["evaluate", best, *self._plugins(), "--split", self._split])

    def _plugins(self) -> list[str]:
        return [word for file in self.run.plugins for word in ("--plugin", file)]

    def _launch(self, state: State, words: list[str]) -> None:
        self.run.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(f"$ hgan {shlex.join(words)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hgan", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        self.state, self._started = state, time.monotonic()

    def _ended(self) -> None:
        self._process = None
        if self.state == "training":
            self.run.add_minutes(self._seconds() / 60)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def sweep(runs: Sequence[Run], split: str, jobs: int) -> list[Job]:
    """Train and evaluate all runs that are not done; if one fails, the others continue.

    Ctrl-C and SIGTERM terminate the processes and raise KeyboardInterrupt.

    Args:
        runs: the runs, in the order in which they start.
        split: the split for the evaluation after training.
        jobs: number of runs at the same time; the processors that this process may use are
            divided among them, if $OMP_NUM_THREADS does not say how many threads a run has.

    Raises:
        ConfigError: a folder contains a run with other settings; checked before any run starts.
    """
    threads = threads_of_a_run(jobs)
    todo = [Job(run, split, threads) for run in runs]
    started = time.monotonic()
    with (
        _terminated_as_interrupted(),
        Live(
            get_renderable=lambda: _board(todo, jobs, time.monotonic() - started),
            console=console,
            transient=True,
            refresh_per_second=1,
        ),
    ):
        try:
            while not all(job.state in ("done", "failed") for job in todo):
                _advance(todo, jobs)
                time.sleep(POLL_SECONDS)
        finally:
            for job in todo:
                job.stop()
    return todo


def threads_of_a_run(jobs: int) -> str:
    """Number of threads of each of the runs at the same time, for $OMP_NUM_THREADS.

    More threads than processors would wait for each other.
    """
    try:
        usable = len(os.sched_getaffinity(0))  # fewer than the machine has under taskset
    except AttributeError:  # not on Linux
        usable = os.cpu_count() or 1
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, usable // jobs))


def _advance(todo: list[Job], jobs: int) -> None:
    """Poll each job once; print changes of state if there is no terminal for the table."""
    for job in todo:
        before = job.state
        job.poll()
        if job.state == "waiting" and sum(other.running for other in todo) < jobs:
            job.start()
        if job.state != before and not console.is_terminal:
            console.print(f"{job.run.folder}: {job.state}", soft_wrap=True, highlight=False)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that processes do not continue after their sweep."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def table(jobs: Sequence[Job]) -> Table:
    """A table of runs with their state, progress, best validation rSum and duration."""
    shown = Table()
    for name in ("system", "seed", "state"):
        shown.add_column(name)
    for name in ("epoch", "best val rSum", "minutes"):
        shown.add_column(name, justify="right")
    for job in jobs:
        config, best = job.run.config, job.run.best_rsum()
        shown.add_row(
            Text(job.run.system),
            str(config.seed),
            Text(job.state, style={"failed": "bold red", "done": "green"}.get(job.state, "")),
            f"{len(job.run.log())}/{config.optim.epochs}",
            "" if best is None else f"{best:.1f}",
            f"{minutes:.1f}" if (minutes := job.minutes()) else "",
        )
    return shown


def _board(todo: list[Job], jobs: int, seconds: float) -> Group:
    """The table of running and failed jobs, and a line with the progress of the sweep."""
    waiting = sum(job.state == "waiting" for job in todo)
    done = sum(job.state == "done" for job in todo)
    line = f"{done} of {len(todo)} runs done, {waiting} waiting, {jobs} at once"
    if (left := seconds_left(todo, seconds)) is not None:
        line += f"; about {left / 60:.0f} minutes left"
    return Group(table([job for job in todo if job.running or job.state == "failed"]), line)


def seconds_left(todo: Sequence[Job], seconds: float) -> float | None:
    """Estimated time for the remaining epochs, from the epochs finished in this sweep; None if
    there are none yet."""
    finished = sum(max(0, len(job.run.log()) - job.before) for job in todo)
    unfinished = [job for job in todo if job.running or job.state == "waiting"]
    left = sum(job.run.config.optim.epochs - len(job.run.log()) for job in unfinished)
    return seconds / finished * left if finished else None
