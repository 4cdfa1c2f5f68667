"""The page on a fit of loss curves: curves with their predictions, residuals, and scores beside published laws."""

from pathlib import Path
from typing import Any

import numpy as np

from .._extras import require
from .._files import write_text
from ..fitting import BestRates, CurveFit, CurvePrediction
from ._best_rates import best_rates_figures, best_rates_section
from ._html import _controls, _paragraph, page
from ._mixture_figures import _layout, _numbers
from ._mixture_html import _table
from ._style import BOUND_COLOUR, PALETTE

__all__ = ["curves_html", "write_curve_report"]


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
    plotly = require("plotly.offline", "the report on a fit of curves").get_plotlyjs()
    predicted = {name: fit.predict_curve(name) for name in fit.curves}
    figures = {"curves": _curve_figure(fit, predicted), "residuals": _residual_figure(fit, predicted)}
    parts = [_paragraph(f"{len(fit.fitted)} curves fitted, {len(fit.hold_out)} held out.", "note")]
    parts += [_paragraph(f"{note[0].upper()}{note[1:]}.", "warning") for note in fit.warnings]
    parts.append("<section><h2>Curves and predictions</h2>")
    controls = _controls("curves", figures["curves"]["views"], 0, select=True).replace("Schedule <", "Curve <")
    band = f"Band: {fit.level:.0%} interval of a measured loss. Held-out curves were used for nothing but this."
    parts += [controls, '<div id="curves"></div>', _paragraph(band, "note")]
    parts += ["<h3>Residuals</h3>", '<div id="residuals"></div>']
    parts.append(_paragraph("Measured over predicted loss, minus one. Dashed: held out.", "note"))
    parts.append("</section><section><h2>How far to trust it</h2>")
    parts += [_score_table(fit), "</section>"]
    if best is not None:
        figures |= best_rates_figures(fit, best)
        parts.append(best_rates_section(fit, best))
    parts.append("<section><h2>Parameters</h2>")
    parts.append(_table(["parameter", "value"], [[name, f"{value:.5g}"] for name, value in fit.parameters.items()]))
    parts.append("</section>")
    return page(title, "\n".join(part for part in parts if part), figures, plotly)


def _score_table(fit: CurveFit) -> str:
    rows = []
    for law, scores in fit.scores.items():
        for name, score in scores.items():
            kind = "held out" if name in fit.hold_out else "fitted"
            inside = "" if np.isnan(score.coverage) else f"{score.coverage:.0%}"
            rows.append([law, name, kind, f"{score.mae:.5f}", f"{score.rmse:.5f}", f"{score.r2:.5f}", inside])
    table = _table(["law", "curve", "", "MAE", "RMSE", "R2", "within intervals"], rows)
    if not fit.cross_validation:
        return table
    left_out = [[law, f"{error:.5f}"] for law, error in fit.cross_validation.items()]
    return table + _table(["law", "error of the log loss on fitted curves that were left out"], left_out)


def _curve_figure(fit: CurveFit, predicted: dict[str, CurvePrediction]) -> dict[str, Any]:
    """Measured points, prediction and band; the views are the curves, those held out first."""
    data, views = [], []
    names = [*fit.hold_out, *fit.fitted]
    for n, name in enumerate(names):
        found, curve = predicted[name], fit.curves[name]
        band = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        steps = curve.steps.tolist()
        shown = {"x": steps, "visible": n == 0}
        data += [
            {**band, **shown, "y": _numbers(found.low)},
            {**band, **shown, "y": _numbers(found.high), "fill": "tonexty", "fillcolor": "rgba(0,114,178,0.18)"},
            {
                **shown,
                "type": "scatter",
                "mode": "lines",
                "name": "predicted",
                "y": _numbers(found.loss),
                "line": {"color": PALETTE[0], "width": 2},
            },
            {
                **shown,
                "type": "scatter",
                "mode": "markers",
                "name": "measured",
                "y": _numbers(curve.loss),
                "marker": {"color": BOUND_COLOUR, "size": 4},
            },
        ]
        kind = "held out" if name in fit.hold_out else "fitted"
        visible = [m // 4 == n for m in range(4 * len(names))]
        views.append({"name": f"{name} ({kind})", "data": {"visible": visible}, "layout": {}})
    return {"data": data, "layout": _layout(440, "steps", "loss"), "views": views, "start": 0}


def _residual_figure(fit: CurveFit, predicted: dict[str, CurvePrediction]) -> dict[str, Any]:
    """Relative errors of every curve."""
    data = []
    for n, (name, curve) in enumerate(fit.curves.items()):
        dash = "dash" if name in fit.hold_out else "solid"
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": curve.steps.tolist(),
                "y": _numbers(curve.loss / predicted[name].loss - 1),
                "line": {"color": PALETTE[n % len(PALETTE)], "width": 1.5, "dash": dash},
            }
        )
    return {"data": data, "layout": _layout(420, "steps", "measured over predicted, minus 1")}
