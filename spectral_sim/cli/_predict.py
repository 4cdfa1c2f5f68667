"""`spectral-sim predict`: the loss under a learning-rate schedule, from a fit of loss curves."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .._files import write_rows
from ..fitting import interpolate_rates, load_curves, read_rates
from ..report import write_curve_report
from ._errors import UserError, explained
from ._running import running


def predict(
    fit: Annotated[Path, typer.Argument(help="fit.npz, written by fit curves.", show_default=False)],
    schedule: Annotated[
        Path | None,
        typer.Option(help="CSV of the learning rate (step, learning_rate); several curves in a third column."),
    ] = None,
    constant: Annotated[float | None, typer.Option(help="One learning rate, in place of --schedule.")] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Learn the best learning rates, in place of --schedule.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Length of the run; the last step of the schedule, or the longest curve.")
    ] = None,
    batch_size: Annotated[float | None, typer.Option(help="Batch size; that of the fitted curves.")] = None,
    output: Annotated[Path, typer.Option(help="CSV for the predictions.")] = Path("prediction.csv"),
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier file.")] = False,
) -> None:
    """Predict the loss under other learning rates, with intervals.

    With --best the rates are learned, and written beside the predictions with a page that shows them.
    """
    with running("scipy", *(("plotly",) if best else ()), what="predicting losses") as progress:
        if [schedule is not None, constant is not None, best].count(True) != 1:
            raise UserError("give one of --schedule (a CSV of rates), --constant (with --steps) and --best.")
        if constant is not None and steps is None:
            raise UserError("--constant needs --steps: how long the run is.")
        rates_file, page = output.with_name(f"{output.stem}-rates.csv"), output.with_suffix(".html")
        if best and output == page:
            raise UserError(f"--output {output} is for a CSV, and the page gets that name: name a .csv file.")
        for path in (output, rates_file, page) if best else (output,):
            if path.exists() and not force:
                raise UserError(f"--output: {path} exists already: name another file, or add --force.")
        with explained("predict"):
            found = load_curves(fit)
            runs: dict[str, Any]
            if best:
                learned = found.best_rates(steps, batch_size=batch_size)
                typer.echo(learned.report())
                learned.save(rates_file)
                write_curve_report(found, page, "Loss curves", learned)
                runs = {"best": learned.learning_rate}
            elif schedule is None:
                runs = {"constant": constant}
            else:
                recorded = {name: sorted(points.items()) for name, points in read_rates(schedule).items()}
                runs = {name: interpolate_rates(*zip(*points, strict=True)) for name, points in recorded.items()}
            rows = []
            for name, rates in runs.items():
                wanted = (
                    None if steps is None or best else sorted({max(1, round(steps * n / 128)) for n in range(1, 129)})
                )
                answer = found.predict(rates, steps=wanted, batch_size=batch_size)
                columns = answer.steps, answer.loss, answer.low, answer.high
                for step, *numbers in zip(*columns, strict=True):
                    rows.append([name, step, *(f"{number:.6f}" for number in numbers)])
                typer.echo(
                    f"{name}: loss {answer.loss[-1]:.4f} at step {answer.steps[-1]} "
                    f"({found.level:.0%} interval {answer.low[-1]:.4f} to {answer.high[-1]:.4f})"
                )
                for warning in answer.warnings:
                    typer.echo(f"warning: {name}: {warning}")
            write_rows(output, ["curve", "step", "loss", "low", "high"], rows)
        more = f", {rates_file.name} and {page.name}" if best else ""
        progress.print(f"wrote {output}{more}")
