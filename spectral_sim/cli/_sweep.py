"""The commands `sweep` and `report`."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from ..assessment import findings
from ..report import write_sweep_report
from ..sweeps import Progress, open_table
from ..sweeps import sweep as run_sweep
from ._errors import UserError, explained
from ._running import device_per_core, running
from ._sweep_config import SHIPPED, read_sweep

EngineName = StrEnum("EngineName", ["local", "ray"])


def sweep(
    config: Annotated[str, typer.Argument(help=f"TOML file, or one of {', '.join(SHIPPED)}.", show_default=False)],
    store: Annotated[str | None, typer.Option(help="Folder or fsspec address for the table; NAME.zarr.")] = None,
    engine: Annotated[EngineName, typer.Option(help="Where chunks are computed.")] = EngineName.local,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a store of the same sweep.")] = False,
) -> None:
    """Run many schedules into one table, in a store that can be resumed at any time."""
    with _sweeping() as progress:
        job = read_sweep(config)
        place = store or f"{job.name}.zarr"
        with explained(job.name), _shown(progress, job.name) as show:
            options = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
            del options["name"]
            run_sweep(**options, store=place, resume=resume, engine=str(engine), progress=show)
        _tell(place, progress)
        progress.print(f"the table is in {place}; look at it with: spectral-sim report {place}")


def report(
    store: Annotated[str, typer.Argument(help="Store of a sweep, finished or not.", show_default=False)],
    output: Annotated[Path | None, typer.Option(help="File to write; STORE.html.")] = None,
) -> None:
    """Phase diagrams, slices and the best rows of a sweep, in one HTML file that works offline."""
    with _sweeping() as progress, explained(""):
        table = open_table(store)
        name = store.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr")
        path = output or Path(f"{name}.html")
        if path.is_dir():
            raise UserError(f"{path} is a folder: give --output a file name.")
        write_sweep_report(table, path)
        progress.print(f"wrote {path}")


def _tell(place: str, progress: Console) -> None:
    """What theory says of the finished table."""
    for finding in findings(open_table(place)):
        mark = "holds" if finding.holds else "does not hold"
        progress.print(f"{mark}: {finding.text}", style=None if finding.holds else "yellow")


@contextmanager
def _sweeping() -> Iterator[Console]:
    """A console for progress, and a device for every core."""
    device_per_core()
    with running("xarray", "zarr", "plotly", what="sweeps") as progress:
        yield progress


@contextmanager
def _shown(console: Console, name: str):
    """Rows, rate and remaining time: a bar on a terminal, now and then a line elsewhere."""
    if not console.is_terminal:
        last = [-10.0]

        def line(state: Progress) -> None:
            if state.seconds - last[0] >= 5 or state.done == state.rows:
                last[0] = state.seconds
                console.print(f"{name}: {_words(state)}")

        yield line
        return
    with Bar(TextColumn(name), BarColumn(), TextColumn("{task.description}"), console=console, transient=True) as bar:
        task = bar.add_task("compiling", total=None)

        def update(state: Progress) -> None:
            bar.update(task, total=state.rows, completed=state.done, description=_words(state))

        yield update


def _words(state: Progress) -> str:
    failed = f", {state.failed:,} failed" if state.failed else ""
    left = "" if state.remaining in (0, float("inf")) else f", {state.remaining:.0f} s to go"
    return f"{state.done:,} of {state.rows:,} rows{failed}, {state.rate:,.0f}/s{left}"
