"""The plots of a mixture fit, as plain plotly.js descriptions."""

from typing import Any

import numpy as np

from ..fitting import LearningCurve, MixtureFit, Optimum, nearest_distances
from ._figures import RED_BLUE
from ._plotly import linear_layout, rounded, scatter
from ._style import BOUND_COLOUR, PALETTE


def fold_figure(fit: MixtureFit) -> dict[str, Any]:
    """Predicted without the run against measured; the views are the losses."""
    measured = fit.table.losses
    predicted = measured + fit.calibration.residuals
    data, views = [], []
    for h, name in enumerate(fit.metrics):
        low, high = min(measured[:, h].min(), predicted[:, h].min()), max(measured[:, h].max(), predicted[:, h].max())
        hover = "%{text}<br>measured %{x:.4f}<br>predicted %{y:.4f}<extra></extra>"
        runs = {"text": [f"run {run}" for run in fit.table.runs], "hovertemplate": hover}
        marker, grey = {"color": PALETTE[0], "size": 7, "opacity": 0.75}, {"color": BOUND_COLOUR, "width": 1.5}
        data += [
            scatter("lines", "", *[rounded([low, high], 6)] * 2, line=grey, hoverinfo="skip", visible=h == 0),
            scatter("markers", "", rounded(measured[:, h], 6), predicted[:, h], marker=marker, visible=h == 0, **runs),
        ]
        visible = [n // 2 == h for n in range(2 * len(fit.metrics))]
        views.append({"name": name, "data": {"visible": visible}, "layout": {}})
    layout = linear_layout(440, "measured loss", "predicted without the run", showlegend=False, margin={"b": 50})
    return {"data": data, "layout": layout, "views": views}


def curve_figure(curve: LearningCurve, fit: MixtureFit) -> dict[str, Any]:
    """Error on runs that were left out over the number of runs."""
    data = []
    for n, (name, errors) in enumerate(curve.errors.items()):
        look = {"color": PALETTE[n], "width": 2.4 if n == 0 else 1.6, "dash": "solid" if n == 0 else "dash"}
        hover = "%{x} runs: %{y:.3f}<extra>" + name + "</extra>"
        data.append(scatter("lines+markers", name, curve.runs, errors, line=look, hovertemplate=hover))
    marker = {"color": "#000000", "size": 11, "symbol": "diamond"}
    hover = "%{x} runs: %{y:.3f}<extra>this fit</extra>"
    here = [len(fit.table.runs)], [round(fit.score.error, 4)]
    data.append(scatter("markers", "this fit, on its folds", *here, marker=marker, hovertemplate=hover))
    ticks = [*curve.runs.tolist(), len(fit.table.runs)]
    shown = [n for i, n in enumerate(ticks) if i % 2 == 0 or i == len(ticks) - 1]
    axis = {"type": "log", "tickvals": shown, "ticktext": [str(n) for n in shown]}
    top = max(float(np.nanmax(errors)) for errors in curve.errors.values())
    axes = {"xaxis": axis, "yaxis": {"range": [0, min(1.08 * top, 1.5)]}}
    return {"data": data, "layout": linear_layout(430, "runs", "error over standard deviation", **axes)}


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
            "x": rounded(shares, 6),
            "y": names,
            "marker": {"color": PALETTE[0]},
            "error_x": {"array": rounded(high, 6), "arrayminus": rounded(low, 6), "color": "#000000", "thickness": 1.2},
            "hovertemplate": "%{y}: %{x:.2f}%<extra>optimum</extra>",
        }
    ]
    marks = [(optimum.gains[0].name, 100 * optimum.prior[order], "diamond", PALETTE[1])]
    if best is not None:
        marks.append(
            (f"best run, {fit.table.runs[best]}", 100 * fit.table.ratios[best][order], "circle-open", "#000000")
        )
    for name, values, symbol, colour in marks:
        marker = {"symbol": symbol, "size": 9, "color": colour, "line": {"width": 2}}
        hover = "%{y}: %{x:.2f}%<extra>" + name + "</extra>"
        # names stand on the vertical axis
        data.append(scatter("markers", name, rounded(values, 6), [], marker=marker, hovertemplate=hover) | {"y": names})
    height = 175 + 27 * len(names)
    layout = linear_layout(height, "share, %", "", xaxis={"rangemode": "tozero"}, margin={"l": 20})
    return {"data": data, "layout": layout}


def sensitivity_figure(fit: MixtureFit, optimum: Optimum) -> dict[str, Any]:
    """Change of each loss for one hundredth of share more, at the mixture compared with, as a heat map."""
    table = 1000 * fit.sensitivity(optimum.prior)
    limit = float(np.quantile(np.abs(table), 0.97)) or 1.0
    data = [
        {
            "type": "heatmap",
            "z": rounded(table, 6),
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
    layout = linear_layout(
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
            "x": rounded(100 * nearest_distances(fit.table.ratios), 6),
            "marker": {"color": BOUND_COLOUR},
            "nbinsx": 25,
            "hovertemplate": "%{x}%: %{y} runs<extra></extra>",
        }
    ]
    lines = (("optimum", support.distance, PALETTE[0], "solid"), ("95% of runs", support.usual, "#000000", "dot"))
    shapes = []
    for name, place, colour, dash in lines:
        look = {"color": colour, "dash": dash, "width": 2}
        ends = {"x0": 100 * place, "x1": 100 * place, "y0": 0, "y1": 1}
        shapes.append({"type": "line", **ends, "yref": "paper", "line": look})
        data.append(scatter("lines", name, [None], [np.nan], line=look))
    layout = linear_layout(380, "data in other domains, %", "runs", xaxis={"rangemode": "tozero"}, shapes=shapes)
    return {"data": data, "layout": layout}
