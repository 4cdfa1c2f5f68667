"""The plots of a mixture fit, as plain plotly.js descriptions."""

from typing import Any

import numpy as np

from ..fitting import LearningCurve, MixtureFit, Optimum, nearest_distances
from ._figures import RED_BLUE
from ._style import BOUND_COLOUR, PALETTE

__all__ = ["curve_figure", "distance_figure", "fold_figure", "optimum_figure", "sensitivity_figure"]

_FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#222"}
_GRID = {"gridcolor": "#e2e2e2", "zeroline": False, "automargin": True}


def _layout(height: int, x: str, y: str, **more: Any) -> dict[str, Any]:
    layout = {
        "height": height,
        "font": _FONT,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 60, "r": 15, "t": 40, "b": 95},  # the legend lies below, clear of the buttons above
        "xaxis": {**_GRID, "title": {"text": x}},
        "yaxis": {**_GRID, "title": {"text": y}},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    }
    for name, part in more.items():
        layout[name] = {**layout.get(name, {}), **part} if isinstance(part, dict) else part
    return layout


def fold_figure(fit: MixtureFit) -> dict[str, Any]:
    """Predicted without the run against measured; the views are the losses."""
    measured = fit.table.losses
    predicted = measured + fit.calibration.residuals
    data, views = [], []
    for h, name in enumerate(fit.metrics):
        low, high = min(measured[:, h].min(), predicted[:, h].min()), max(measured[:, h].max(), predicted[:, h].max())
        ends, shown = _numbers([low, high]), h == 0
        line = {"color": BOUND_COLOUR, "width": 1.5}
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": ends,
                "y": ends,
                "line": line,
                "hoverinfo": "skip",
                "visible": shown,
            }
        )
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": _numbers(measured[:, h]),
                "y": _numbers(predicted[:, h]),
                "text": [f"run {run}" for run in fit.table.runs],
                "hovertemplate": "%{text}<br>measured %{x:.4f}<br>predicted %{y:.4f}<extra></extra>",
                "marker": {"color": PALETTE[0], "size": 7, "opacity": 0.75},
                "visible": shown,
            }
        )
        visible = [n // 2 == h for n in range(2 * len(fit.metrics))]
        views.append({"name": name, "data": {"visible": visible}, "layout": {}})
    layout = _layout(440, "measured loss", "predicted without the run", showlegend=False, margin={"b": 50})
    return {"data": data, "layout": layout, "views": views, "start": 0}


def curve_figure(curve: LearningCurve, fit: MixtureFit) -> dict[str, Any]:
    """Error on runs that were left out over the number of runs."""
    data = []
    for n, (name, errors) in enumerate(curve.errors.items()):
        line = {"color": PALETTE[n], "width": 2.4 if n == 0 else 1.6, "dash": "solid" if n == 0 else "dash"}
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": curve.runs.tolist(),
                "y": _numbers(errors),
                "line": line,
                "hovertemplate": "%{x} runs: %{y:.3f}<extra>" + name + "</extra>",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "this fit, on its folds",
            "x": [len(fit.table.runs)],
            "y": [round(fit.score.error, 4)],
            "marker": {"color": "#000000", "size": 11, "symbol": "diamond"},
            "hovertemplate": "%{x} runs: %{y:.3f}<extra>this fit</extra>",
        }
    )
    ticks = [*curve.runs.tolist(), len(fit.table.runs)]
    shown = [n for i, n in enumerate(ticks) if i % 2 == 0 or i == len(ticks) - 1]
    axis = {"type": "log", "tickvals": shown, "ticktext": [str(n) for n in shown]}
    top = max(float(np.nanmax(errors)) for errors in curve.errors.values())
    return {
        "data": data,
        "layout": _layout(
            430, "runs", "error over standard deviation", xaxis=axis, yaxis={"range": [0, min(1.08 * top, 1.5)]}
        ),
    }


def optimum_figure(fit: MixtureFit, optimum: Optimum) -> dict[str, Any]:
    """Shares of the optimum with their intervals, the prior, and the best run."""
    order = np.argsort(optimum.shares, kind="stable")
    names = [optimum.domains[g] for g in order]
    shares = 100 * optimum.shares[order]
    high = np.maximum(100 * optimum.shares_high[order] - shares, 0)
    low = np.maximum(shares - 100 * optimum.shares_low[order], 0)
    best = None if optimum.best_run is None else fit.table.runs.index(optimum.best_run)
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": "optimum",
            "x": _numbers(shares),
            "y": names,
            "marker": {"color": PALETTE[0]},
            "error_x": {"array": _numbers(high), "arrayminus": _numbers(low), "color": "#000000", "thickness": 1.2},
            "hovertemplate": "%{y}: %{x:.2f}%<extra>optimum</extra>",
        }
    ]
    marks = [(optimum.gains[0].name, 100 * optimum.prior[order], "diamond", PALETTE[1])]
    if best is not None:
        marks.append(
            (f"best run, {fit.table.runs[best]}", 100 * fit.table.ratios[best][order], "circle-open", "#000000")
        )
    for name, values, symbol, colour in marks:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": _numbers(values),
                "y": names,
                "marker": {"symbol": symbol, "size": 9, "color": colour, "line": {"width": 2}},
                "hovertemplate": "%{y}: %{x:.2f}%<extra>" + name + "</extra>",
            }
        )
    height = 175 + 27 * len(names)
    return {
        "data": data,
        "layout": _layout(height, "share, %", "", xaxis={"rangemode": "tozero"}, margin={"l": 20}),
    }


def sensitivity_figure(fit: MixtureFit, optimum: Optimum) -> dict[str, Any]:
    """Change of each loss for one hundredth of share more, at the mixture compared with, as a heat map."""
    table = 1000 * fit.sensitivity(optimum.prior)
    limit = float(np.quantile(np.abs(table), 0.97)) or 1.0
    data = [
        {
            "type": "heatmap",
            "z": [_numbers(row) for row in table],
            "x": list(fit.domains),
            "y": list(fit.metrics),
            "colorscale": RED_BLUE,
            "zmin": -limit,
            "zmax": limit,
            "xgap": 1,
            "ygap": 1,
            "colorbar": {"title": {"text": "10⁻³", "side": "top"}, "thickness": 12, "outlinewidth": 0, "len": 0.9},
            "hovertemplate": "%{y} for 1% more of %{x}: %{z:+.2f} · 10⁻³<extra></extra>",
        }
    ]
    height = 190 + 25 * len(fit.metrics)
    layout = _layout(
        height,
        "",
        "",
        xaxis={"tickangle": -50, "showgrid": False},
        yaxis={"autorange": "reversed", "showgrid": False},
        margin={"l": 20, "r": 10, "b": 50},
    )
    return {"data": data, "layout": layout}


def distance_figure(fit: MixtureFit, optimum: Optimum) -> dict[str, Any]:
    """How far runs are from each other, and the optimum from them."""
    support = optimum.support
    data = [
        {
            "type": "histogram",
            "name": "runs",
            "x": _numbers(100 * nearest_distances(fit.table.ratios)),
            "marker": {"color": BOUND_COLOUR},
            "nbinsx": 25,
            "hovertemplate": "%{x}%: %{y} runs<extra></extra>",
        }
    ]
    place, usual = 100 * support.distance, 100 * support.usual
    lines = ((place, PALETTE[0], "solid"), (usual, "#000000", "dot"))
    shapes = [
        {
            "type": "line",
            "x0": x,
            "x1": x,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": c, "dash": d, "width": 2},
        }
        for x, c, d in lines
    ]
    for name, (_, colour, dash) in zip(("optimum", "95% of runs"), lines, strict=True):
        line = {"color": colour, "dash": dash, "width": 2}
        data.append({"type": "scatter", "mode": "lines", "name": name, "x": [None], "y": [None], "line": line})
    layout = _layout(380, "data in other domains, %", "runs", xaxis={"rangemode": "tozero"}, shapes=shapes)
    return {"data": data, "layout": layout}


def _numbers(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in np.asarray(values, np.float64)]
