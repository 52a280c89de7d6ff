"""The progress bar for all long tasks, on stderr: description, count, speed, remaining time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

from hgan.terminal import visible


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        """Print; control characters in strings are escaped."""
        shown = (visible(one) if isinstance(one, str) else one for one in objects)
        super().print(*shown, **options)


console = _Console(stderr=True)
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
        self._bar.update(self._task, note=visible(text))  # type: ignore[arg-type]


@contextmanager
def progress(what: str, total: int | None, unit: str) -> Iterator[Bar]:
    """Show a progress bar while the block runs, if standard error is a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield Bar(bar, bar.add_task(visible(what), total=total, note=""))
