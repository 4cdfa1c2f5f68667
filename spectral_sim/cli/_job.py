"""What every command does once its input is known to be good: simulate, write as it goes, show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..assessment import Assessment, Entry, Search, run_assessment
from ..bounds import Certificate
from ..problems import AbstractProblem
from ..report import write_dataset, write_plots, write_report, write_results
from ._output import OutputFolder
from ._progress import steps
from ._show import show

__all__ = ["Part", "run_job"]


@dataclass
class Part:
    """One comparison to be made; what `run_assessment` takes."""

    name: str
    problem: AbstractProblem
    entries: Sequence[Entry]
    times: np.ndarray
    title: str
    description: str
    subject: str | None = None
    cost: float = 0.0
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    group_names: tuple[str, ...] = ()
    search: Search | None = None
    certificate: Certificate | None = None


def run_job(
    parts: Sequence[tuple[str, Callable[[], Part]]],
    output: OutputFolder,
    title: str,
    console: Console,
    progress: Console,
) -> None:
    """Make every comparison in turn, each from a function that builds it.

    Results are written after every schedule, plots and the report after every part, so that nothing computed is lost
    when a later step fails or is interrupted.

    Arguments:
        parts: name and builder of each part.
        output: where to write.
        title: heading of the report.
        console: for the table and the verdict.
        progress: for everything else.

    Raises:
        KeyboardInterrupt: after what there is has been written.
    """
    output.open()
    finished: list[Assessment] = []
    for name, build in parts:
        folder = output.part(name)
        latest: list[Assessment] = []

        def keep(assessment: Assessment, folder: Path = folder, latest: list[Assessment] = latest) -> None:
            latest[:] = [assessment]
            write_dataset(assessment, folder)

        try:
            with steps(progress, name) as step:
                part = build()
                run_assessment(
                    part.name,
                    part.problem,
                    part.entries,
                    part.times,
                    title=part.title,
                    subject=part.subject,
                    description=part.description,
                    cost=part.cost,
                    seed=part.seed,
                    settings=part.settings,
                    group_names=part.group_names,
                    search=part.search,
                    certificate=part.certificate,
                    started=step.start,
                    finished=keep,
                )
        except KeyboardInterrupt:
            if latest:
                write_results(latest[0], folder)
                _warn(progress, write_report, [*finished, latest[0]], output.path / "report.html", title)
                runs = f"{len(latest[0].runs)} of {latest[0].planned} schedules of {name}"
                progress.print(f"{runs} are in {folder}", highlight=False, markup=False)
            raise
        finished += latest
        write_results(latest[0], folder)
        show(latest[0], console)
        with steps(progress, f"plots of {name}"):
            for warning in write_plots(latest[0], folder):
                progress.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
            _warn(progress, write_report, finished, output.path / "report.html", title)
    progress.print(f"written to {output.path}: open {output.path / 'report.html'}", highlight=False, markup=False)


def _warn(progress: Console, write: Callable[..., None], *arguments: Any) -> None:
    """Write something that must not take the results down with it."""
    try:
        write(*arguments)
    except Exception as error:  # the results are on disk; say what is missing and go on
        text = f"warning: {arguments[1]} could not be written: {type(error).__name__}: {error}"
        progress.print(text, style="yellow", highlight=False, markup=False)
