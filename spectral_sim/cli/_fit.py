"""The commands of `spectral-sim fit`: laws fitted to tables of what was tried."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .._files import write_rows, write_text
from ..fitting import Optimum, by_domain, fit_mixture, learning_curve, read_by_name, read_mixtures
from ..report import write_mixture_report
from ._curves import curves
from ._errors import UserError, explained
from ._options import Force
from ._output import OutputFolder
from ._running import running

fit = typer.Typer(help="Fit a law to a table of what was tried.", no_args_is_help=True, rich_markup_mode=None)
fit.command()(curves)


Law = StrEnum("Law", ["power", "linear"])
BoostName = StrEnum("BoostName", ["auto", "lightgbm", "none"])


@fit.command()
def mixture(
    ratios: Annotated[Path, typer.Argument(help="CSV of shares, a row for each run.", show_default=False)],
    metrics: Annotated[
        Path | None, typer.Argument(help="CSV of losses; none if the first file holds both.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("mixture-output"),
    prior: Annotated[
        Path | None,
        typer.Option(help="CSV of domain and share in what there is; the mean of the runs.", show_default=False),
    ] = None,
    max_epochs: Annotated[
        float | None,
        typer.Option(help="How often the data of a domain may be seen; needs --prior.", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="CSV of loss and weight; equal weights.", show_default=False)
    ] = None,
    divergence: Annotated[
        float, typer.Option(min=0, help="Loss that a nat of divergence from --prior must pay.")
    ] = 0.0,
    minimum: Annotated[float, typer.Option(min=0, max=1, help="Least share of each domain.")] = 0.0,
    law: Annotated[Law, typer.Option(help="Whether the powers of shares are fitted, or held at 1.")] = Law.power,
    boost: Annotated[BoostName, typer.Option(help="Whether residuals are boosted.")] = BoostName.auto,
    intervals: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.9,
    shares_prefix: Annotated[str, typer.Option(help="Start of the columns of shares in one wide file.")] = "r_",
    losses_prefix: Annotated[str, typer.Option(help="Start of the columns of losses in one wide file.")] = "L_",
    seed: Annotated[int, typer.Option(help="Seed of the folds and the trees.")] = 0,
    force: Force = False,
) -> None:
    """Find the best mixture of training domains from mixtures that were tried on small models."""
    with running("scipy", "plotly", what="fitting a mixture law") as progress:
        if prior is None and (max_epochs is not None or divergence > 0):
            raise UserError(f"--{'divergence' if max_epochs is None else 'max-epochs'} needs --prior.")
        folder = OutputFolder(output, force=force)
        with explained("fit mixture"):
            shares, losses, notes = read_mixtures(
                ratios, metrics, shares_prefix=shares_prefix, losses_prefix=losses_prefix
            )
            natural = None if prior is None else read_by_name(prior)
            importance = None if weights is None else read_by_name(weights)
            for name, given, known, kind in (
                ("prior", natural, shares.columns, "domain"),
                ("weights", importance, losses.columns, "loss"),
            ):
                if given is not None:  # before the fit, which takes a while
                    by_domain(name, given, known, kind, fill=0.0 if name == "weights" else None)
            progress.print(f"fitting {len(shares.values)} runs")
            found = fit_mixture(shares, losses, law=str(law), boost=str(boost), intervals=intervals, seed=seed)
            best = found.optimum(
                weights=importance, prior=natural, max_epochs=max_epochs, divergence=divergence, minimum=minimum
            )
        folder.open()
        found.save(output / "fit.npz")
        _write_optimum(best, output)
        typer.echo(found.report())
        for note in notes:
            typer.echo(f"note: {note}")
        typer.echo("")
        typer.echo(str(best))
        progress.print("measuring how the error falls with runs")
        title = f"Mixtures of {ratios.name}"
        write_mixture_report(found, best, learning_curve(found, seed), output / "report.html", title)
        progress.print(f"wrote {output}: optimum.csv, optimum.yaml, fit.npz, report.html")


def _write_optimum(best: Optimum, folder: Path) -> None:
    """The shares as a table with their intervals, and as YAML for configurations of training runs."""
    columns = best.shares, best.shares_low, best.shares_high, best.prior
    rows = (
        [name, *(f"{number:.6f}" for number in numbers), best.limits.get(name, "")]
        for name, *numbers in zip(best.domains, *columns, strict=True)
    )
    write_rows(folder / "optimum.csv", ["domain", "share", "low", "high", "prior", "limit"], rows)
    shares = "".join(f"{_quoted(name)}: {share:.6f}\n" for name, share in best.as_dict().items())
    write_text(folder / "optimum.yaml", shares)


def _quoted(name: str) -> str:
    """A YAML key: names that are not plain words are quoted."""
    plain = name.replace("_", "").replace("-", "").isalnum() and not name[0].isdigit() and name[0] != "-"
    reserved = name.lower() in ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
    return name if plain and name.isascii() and not reserved else "'" + name.replace("'", "''") + "'"
