"""The progress bar for all long tasks, on stderr: description, count, speed, remaining time."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

console = Console(stderr=True)
"""Console for progress and notes, on stderr; standard output is only for results."""


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} {self._unit}/s" if speed else "", style="cyan")


class Bar:
    """Updates one progress bar."""

    def __init__(self, bar: Progress, task: int) -> None:
        self._bar = bar
        self._task = task

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""
        self._bar.advance(self._task, steps)  # type: ignore[arg-type]

    def note(self, text: str) -> None:
        """Show a short text beside the bar, such as the loss."""
        self._bar.update(self._task, note=text)  # type: ignore[arg-type]


@contextmanager
def progress(what: str, total: int | None, unit: str) -> Iterator[Bar]:
    """Show a progress bar while the block runs, if standard error is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield Bar(bar, bar.add_task(what, total=total, note=""))
