"""The page on a fit of loss curves: curves with their predictions, residuals, and scores beside published laws."""

from pathlib import Path
from typing import Any

import numpy as np

from .._files import write_text
from ..fitting import BestRates, CurveFit, CurvePrediction
from ._best_rates import best_rates_section
from ._page import Page
from ._plotly import band, linear_layout, scatter
from ._style import BAND, BOUND_COLOUR, PALETTE


def write_curve_report(fit: CurveFit, path: Path, title: str, best: BestRates | None = None) -> None:
    """Write the report on a fit, replacing the file at once.

    Arguments:
        fit: of the curves.
        path: HTML file.
        title: of the page.
        best: learned rates, or None.
    """
    write_text(path, curves_html(fit, title, best))


def curves_html(fit: CurveFit, title: str, best: BestRates | None = None) -> str:
    """The page as text.

    Arguments:
        fit: what was fitted.
        title: heading of the page.
        best: learning rates that were learned under the fit, for a section of their own.

    Raises:
        ImportError: plotly is not installed.
    """
    page = Page("the report on a fit of curves")
    predicted = {name: fit.predict_curve(name) for name in fit.curves}
    page.notes(f"{len(fit.fitted)} curves fitted, {len(fit.hold_out)} held out.")
    page.notes(*(f"{note[0].upper()}{note[1:]}." for note in fit.warnings), kind="warning")
    page.add("<section><h2>Curves and predictions</h2>")
    about = f"Band: {fit.level:.0%} interval of a measured loss. Held-out curves were used for nothing but this."
    page.figure("curves", "", _curve_figure(fit, predicted), [about], select="Curve")
    about = "Measured over predicted loss, minus one. Dashed: held out."
    page.figure("residuals", "Residuals", _residual_figure(fit, predicted), [about])
    page.add("</section><section><h2>How far to trust it</h2>")
    _score_tables(page, fit)
    page.add("</section>")
    if best is not None:
        best_rates_section(page, fit, best)
    page.add("<section><h2>Parameters</h2>")
    page.table(["parameter", "value"], [[name, f"{value:.5g}"] for name, value in fit.parameters.items()])
    page.add("</section>")
    return page.text(title)


def _score_tables(page: Page, fit: CurveFit) -> None:
    rows = []
    for law, scores in fit.scores.items():
        for name, score in scores.items():
            errors = (f"{error:.5f}" for error in score[:3])
            inside = "" if np.isnan(score.coverage) else f"{score.coverage:.0%}"
            rows.append([law, name, _kind(fit, name), *errors, inside])
    page.table(["law", "curve", "", "MAE", "RMSE", "R2", "within intervals"], rows)
    if fit.cross_validation:
        left_out = [[law, f"{error:.5f}"] for law, error in fit.cross_validation.items()]
        page.table(["law", "error of the log loss on fitted curves that were left out"], left_out)


def _kind(fit: CurveFit, name: str) -> str:
    return "held out" if name in fit.hold_out else "fitted"


def _curve_figure(fit: CurveFit, predicted: dict[str, CurvePrediction]) -> dict[str, Any]:
    """Measured points, prediction and band; the views are the curves, those held out first."""
    data, views = [], []
    names = [*fit.hold_out, *fit.fitted]
    for n, name in enumerate(names):
        found, curve = predicted[name], fit.curves[name]
        look, marker = {"color": PALETTE[0], "width": 2}, {"color": BOUND_COLOUR, "size": 4}
        data += [
            *band(curve.steps, found.low, found.high, BAND, visible=n == 0),
            scatter("lines", "predicted", curve.steps, found.loss, line=look, visible=n == 0),
            scatter("markers", "measured", curve.steps, curve.loss, marker=marker, visible=n == 0),
        ]
        visible = [m // 4 == n for m in range(4 * len(names))]
        views.append({"name": f"{name} ({_kind(fit, name)})", "data": {"visible": visible}, "layout": {}})
    return {"data": data, "layout": linear_layout(440, "steps", "loss"), "views": views}


def _residual_figure(fit: CurveFit, predicted: dict[str, CurvePrediction]) -> dict[str, Any]:
    """Relative errors of every curve."""
    data = []
    for n, (name, curve) in enumerate(fit.curves.items()):
        dash = "dash" if name in fit.hold_out else "solid"
        look = {"color": PALETTE[n % len(PALETTE)], "width": 1.5, "dash": dash}
        data.append(scatter("lines", name, curve.steps, curve.loss / predicted[name].loss - 1, line=look))
    return {"data": data, "layout": linear_layout(420, "steps", "measured over predicted, minus 1")}
