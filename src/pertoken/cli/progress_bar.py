"""The progress bar of a command, drawn on a terminal ten times a second."""

from collections.abc import Iterable
from typing import Protocol, TextIO

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

SPINNER = "line"  # in characters that every terminal can show


class HowFar(Protocol):
    """The task and its progress."""

    done: int
    total: int | None

    def text(self) -> str:
        """Return the name of the task, escaped."""


class ProgressBar(Progress):
    """Draws the current state of a task, which the drawing thread reads."""

    def __init__(self, shown: HowFar, stream: TextIO) -> None:
        self._progress = shown
        console = Console(file=stream)
        super().__init__(
            SpinnerColumn(SPINNER),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(show_speed=False),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=console.is_dumb_terminal or not console.is_terminal,
        )
        self.add_task("", total=None, count="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the current bar."""
        shown = self._progress
        done, total = shown.done, shown.total
        for task in self.task_ids:  # the only task
            self.update(
                task,
                description=shown.text(),
                total=total,
                completed=done if total is None else min(done, total),
                count=f"{done:,}" if total is None and done else "",
            )
        yield from super().get_renderables()
