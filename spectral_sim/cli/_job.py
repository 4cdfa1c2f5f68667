"""What every command does once its input is known to be good: simulate, write as it goes, show."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ..assessment import Assessment, run_assessment
from ..report import write_dataset, write_plots, write_report, write_results
from ._output import OutputFolder
from ._part import Part
from ._progress import steps
from ._show import first_row, show
from ._split_store import SplitStore


def run_job(
    parts: Sequence[tuple[str, Callable[[], Part]]],
    output: OutputFolder,
    title: str,
    console: Console,
    progress: Console,
) -> None:
    """Make every comparison in turn, each from a function that builds it.

    Results are written after every split, plots and the report after every part, so that nothing computed is lost when
    a later step fails or is interrupted. What was recorded on finished splits is kept beside them until the end, and
    taken up again where the folder is resumed.

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
            if not latest:
                progress.print(first_row(assessment))
            latest[:] = [assessment]
            write_dataset(assessment, folder)

        try:
            with steps(progress, name) as step:
                part = build()
                store = SplitStore(folder, part)
                compared = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
                exports = compared.pop("export") is not None
                run_assessment(**compared, exports=exports, store=store, started=step.start, finished=keep)
        except KeyboardInterrupt:
            if latest:
                write_results(latest[0], folder)
                _warn(progress, write_report, [*finished, latest[0]], output.path / "report.html", title)
                runs = f"{latest[0].splits} of {latest[0].planned_splits} splits, {len(latest[0].runs)} of "
                runs += f"{latest[0].planned} schedules of {name} are in {folder}"
                progress.print(f"{runs}; the same command with --resume goes on")
            raise
        write_results(latest[0], folder)
        if part.export is not None:
            with steps(progress, f"weights of {name}"):
                latest[:] = [_warn(progress, part.export, latest[0], folder, part.entries) or latest[0]]
        finished += latest
        show(latest[0], console)
        with steps(progress, f"plots of {name}"):
            for warning in write_plots(latest[0], folder):
                progress.print(f"warning: {warning}", style="yellow")
            _warn(progress, write_report, finished, output.path / "report.html", title)
        store.clear()
    output.close()
    progress.print(f"written to {output.path}: open {output.path / 'report.html'}")


def _warn(progress: Console, write: Callable[..., Any], *arguments: Any) -> Any:
    """Write something that must not take the results down with it."""
    try:
        return write(*arguments)
    except Exception as error:  # the results are on disk; say what is missing and go on
        text = f"warning: {arguments[1]} could not be written: {type(error).__name__}: {error}"
        progress.print(text, style="yellow")
