"""`spectral-sim fit curves`: a model of training from logs of losses and learning rates."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from .._files import write_rows
from ..fitting import CurveFit, fit_curves, read_logs
from ..report import write_curve_report
from ._errors import UserError, explained
from ._options import Force, Resume
from ._output import CURVE_SEARCH, OutputFolder
from ._running import running


def curves(
    logs: Annotated[
        list[Path],
        typer.Argument(
            help="Logs: CSV (step, loss, curve), a Weights & Biases export, trainer_state.json, or TensorBoard.",
            show_default=False,
        ),
    ],
    rates: Annotated[
        Path | None, typer.Option(help="CSV of learning rates (step, learning_rate, curve).", show_default=False)
    ] = None,
    rate_column: Annotated[
        str | None, typer.Option(help="Column or tag of the rates in the logs.", show_default=False)
    ] = None,
    loss_column: Annotated[
        str | None, typer.Option(help="Column, metric or tag of the losses; loss.", show_default=False)
    ] = None,
    hold_out: Annotated[
        list[str] | None, typer.Option(help="Curve to predict and not to fit; repeat it.", show_default=False)
    ] = None,
    noise_exponent: Annotated[
        float | None, typer.Option(help="Power of the rate in the noise; by cross-validation.", show_default=False)
    ] = None,
    intervals: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.9,
    best: Annotated[bool, typer.Option(help="Learn the best learning rates under the fit.")] = True,
    best_steps: Annotated[
        int | None, typer.Option(min=2, help="Length of the run they are for; the longest curve.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("curves-output"),
    force: Force = False,
    resume: Resume = False,
) -> None:
    """Fit a model of training to loss curves, and compare it with published laws."""
    with running("scipy", "plotly", what="fitting loss curves") as progress:
        if rates is not None and rate_column is not None:
            raise UserError("--rates and --rate-column are both given: drop one.")
        folder = OutputFolder(output, force=force, resume=resume)
        with explained("fit curves"):
            found = {}
            for log in logs:
                with warnings.catch_warnings(record=True) as notes:
                    warnings.simplefilter("always")
                    read = read_logs(log, rates=rates, rate_column=rate_column, loss_column=loss_column)
                for note in notes:
                    typer.echo(f"warning: {note.message}")
                twice = sorted(set(read) & set(found))
                if twice:
                    raise UserError(f"fit curves: {log} has the curve {twice[0]!r} again: rename the run or the file.")
                found |= read

            def tell(line: str) -> None:
                folder.open()  # the first line comes once the curves have been checked
                progress.print(line)

            try:
                fit = fit_curves(
                    found,
                    hold_out=hold_out or (),
                    noise_exponent="auto" if noise_exponent is None else noise_exponent,
                    intervals=intervals,
                    checkpoint=output / CURVE_SEARCH,
                    progress=tell,
                )
            except KeyboardInterrupt:
                progress.print("the fit goes on where it was with --resume")
                raise
        fit.save(output / "fit.npz")
        _write_predictions(fit, output / "predictions.csv")
        typer.echo(fit.report())
        written, learned = "fit.npz, predictions.csv, report.html", None
        if best:
            progress.print("learning the best learning rates")
            with explained("best rates"):
                learned = fit.best_rates(best_steps)
            learned.save(output / "best_rates.csv")
            typer.echo(learned.report())
            written += ", best_rates.csv"
        write_curve_report(fit, output / "report.html", "Loss curves", learned)
        folder.close()
        progress.print(f"wrote {output}: {written}")


def _write_predictions(fit: CurveFit, path: Path) -> None:
    """Every curve with its prediction and interval."""
    rows = []
    for name, curve in fit.curves.items():
        found = fit.predict_curve(name)
        for step, loss, *numbers in zip(curve.steps, curve.loss, found.loss, found.low, found.high, strict=True):
            cells = (f"{number:.6f}" for number in numbers)
            rows.append([name, int(name in fit.hold_out), step, f"{loss:.6g}", *cells])
    write_rows(path, ["curve", "held_out", "step", "loss", "predicted", "low", "high"], rows)
