"""What is shown while a command runs: a live bar on a terminal, a line for each step elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Progress of one stage of a command.

    Arguments:
        console: where to write.
        stage: name of the stage.
        bar: the live bar, None where there is no terminal.
    """

    def __init__(self, console: Console, stage: str, bar: Progress | None):
        self._console, self._stage, self._bar = console, stage, bar
        self._task = None if bar is None else bar.add_task(escape(stage), total=None)
        self._begin = time.perf_counter()

    def start(self, index: int, total: int, name: str) -> None:
        """Say that step `index` of `total` begins."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total, completed=index, description=escape(f"{self._stage}: {name}"))
        else:
            elapsed = time.perf_counter() - self._begin
            text = f"{self._stage}: {name} ({index + 1} of {total}, {elapsed:.1f} s)"
            self._console.print(text)

    def done(self) -> None:
        """Leave one line that says how long the stage took."""
        elapsed = time.perf_counter() - self._begin
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
        self._console.print(f"{self._stage}: done in {elapsed:.1f} s")


@contextmanager
def steps(console: Console, stage: str) -> Iterator[Steps]:
    """Show the progress of a stage while it lasts; a stage that is cut short leaves no line."""
    if not console.is_terminal:
        progress = Steps(console, stage, None)
        yield progress
        progress.done()
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        progress = Steps(console, stage, bar)
        yield progress
        progress.done()
