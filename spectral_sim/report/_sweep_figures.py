"""Pictures of a sweep, as plain plotly.js descriptions: phase diagrams with contours, and parallel slices."""

import html
import itertools
from typing import Any

import numpy as np

from ._plotly import layout as plotly_layout
from ._plotly import line as plotly_line
from ._plotly import log_axis, rounded, scatter
from ._style import PALETTE

_MOST_CELLS = 160  # along an axis of a diagram
_MOST_LINES = 7
_MOST_VIEWS = 24
# ColorBrewer YlGnBu, light to dark: even in brightness, safe for colour-blind readers
_SCALE = ["#ffffd9", "#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58"]


def phase_figure(array: Any, axes: tuple[str, ...]) -> dict[str, Any] | None:
    """One number of a table over two of its axes, as a heat map with contours; the views go along the others."""
    if len(axes) < 2:
        return None
    y, x = axes[-2:]
    rest = axes[:-2]
    array = _thinned(array, (y, x))
    logarithmic = is_log(np.asarray(array))
    shown = np.log10(array.where(array > 0)) if logarithmic else array
    low, high = _span(np.asarray(shown))
    step = _step(low, high)
    views = []
    for name, part in _views(shown, rest):
        z = np.asarray(part.transpose(y, x), np.float64)
        values = 10**z if logarithmic else z
        views.append({"name": name, "data": {"z": [rounded(z)], "customdata": [rounded(values, 4)]}, "layout": {}})
    ticks = np.arange(np.ceil(low / step) * step, high + step / 2, step)
    text = [f"{10**t:.3g}" if logarithmic else f"{t:.4g}" for t in ticks]
    names = html.escape(x), html.escape(y)
    trace = {
        "type": "contour",
        "x": rounded(array[x], 6),
        "y": rounded(array[y], 6),
        "z": views[0]["data"]["z"][0],
        "customdata": views[0]["data"]["customdata"][0],
        "zmin": low,
        "zmax": high,
        "colorscale": [[n / (len(_SCALE) - 1), colour] for n, colour in enumerate(_SCALE)],
        "contours": {"coloring": "heatmap", "start": float(ticks[0]), "end": float(ticks[-1]), "size": step},
        "line": {"color": "#333", "width": 0.8},
        "colorbar": {"tickvals": rounded(ticks, 8), "ticktext": text},
        "hovertemplate": f"{names[0]} %{{x:.4g}}<br>{names[1]} %{{y:.4g}}<br>%{{customdata:.4g}}<extra></extra>",
    }
    layout = _axes(array, x, y)
    layout["margin"]["r"] = 110
    return {"data": [trace], "layout": layout, "views": views}


def slice_figure(array: Any, axes: tuple[str, ...], label: str) -> dict[str, Any]:
    """One number along the last axis, a line for each value of the one before it."""
    x, other = axes[-1], axes[-2] if len(axes) > 1 else None
    rest = axes[:-2]
    array = _thinned(array, (x,))
    if other is not None and array.sizes[other] > _MOST_LINES:
        array = array.isel({other: np.unique(np.linspace(0, array.sizes[other] - 1, _MOST_LINES).round().astype(int))})
    values = [None] if other is None else np.asarray(array[other]).tolist()
    views, data = [], []
    for name, part in _views(array, rest):
        lines = [part if value is None else part.sel({other: value}) for value in values]
        views.append({"name": name, "data": {"y": [rounded(line) for line in lines]}, "layout": {}})
    for value, y, colour in zip(values, views[0]["data"]["y"], PALETTE, strict=False):
        name = "" if value is None else f"{other} = {value:.4g}"
        data.append(
            plotly_line(name, array[x], y, colour, "solid", 2) | {"mode": "lines+markers", "marker": {"size": 4}}
        )
    layout = _axes(array, x, None, label)
    finite = np.asarray(array)[np.isfinite(array)]
    if is_log(np.asarray(array)):
        positive = finite[finite > 0]
        layout["yaxis"] |= log_axis((float(positive.min()) / 1.2, float(positive.max()) * 1.2))
    else:
        room = 0.06 * (finite.max() - finite.min()) or 0.1 * abs(finite.max()) or 0.1
        layout["yaxis"] |= {"type": "linear", "range": [float(finite.min() - room), float(finite.max() + room)]}
    layout["showlegend"] = other is not None
    return {"data": data, "layout": layout, "views": views}


def time_figure(table: Any, axes: tuple[str, ...]) -> dict[str, Any] | None:
    """The local exponent over time and the last axis, with the fitted crossover where the table has one."""
    if "loss" not in table or not axes:
        return None
    y, rest = axes[-1], axes[:-1]
    times = np.asarray(table["times"], np.float64)
    loss = table.loss.isel(times=slice(1, None))
    slope = -np.gradient(np.log(np.asarray(loss, np.float64)), np.log(times[1:]), axis=loss.dims.index("times"))
    exponent = loss.copy(data=slope)
    figure = phase_figure(exponent, (*rest, y, "times"))
    assert figure is not None
    if "crossover" in table:
        for view, (_, part) in zip(figure["views"], _views(table.crossover, rest), strict=True):
            line = rounded(part, 6)
            view["data"] |= {"x": [figure["data"][0]["x"], line], "y": [figure["data"][0]["y"], rounded(table[y], 6)]}
        marker = {"color": PALETTE[1], "size": 8, "line": {"color": "white", "width": 1}}
        look = {"line": {"color": PALETTE[1], "width": 2}, "hovertemplate": "crossover at %{x:.4g}<extra></extra>"}
        place = (figure["views"][0]["data"][axis][1] for axis in "xy")
        figure["data"].append(scatter("lines+markers", "crossover", *place, marker=marker, **look))
        for view in figure["views"]:
            view["data"]["z"] = [*view["data"]["z"], None]
            view["data"]["customdata"] = [*view["data"]["customdata"], None]
    figure["layout"]["xaxis"]["title"]["text"] = "time (log scale)"
    return figure


def is_log(values: np.ndarray) -> bool:
    """Whether numbers are read better on a log scale: positive, and over more than a factor 30."""
    finite = values[np.isfinite(values)]
    return finite.size > 0 and finite.min() > 0 and finite.max() / finite.min() > 30


def _views(array: Any, rest: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Name and part for every combination of values along the other axes."""
    choices = list(itertools.product(*(range(array.sizes[axis]) for axis in rest)))
    if len(choices) > _MOST_VIEWS:
        choices = [choices[n] for n in np.linspace(0, len(choices) - 1, _MOST_VIEWS).round().astype(int)]
    found = []
    for choice in choices:
        at = dict(zip(rest, choice, strict=True))
        name = ", ".join(f"{axis} = {float(array[axis][n]):.4g}" for axis, n in at.items())
        found.append((name, array.isel(at)))
    return found


def _thinned(array: Any, axes: tuple[str, ...]) -> Any:
    for axis in axes:
        if array.sizes[axis] > _MOST_CELLS:
            array = array.isel({axis: np.linspace(0, array.sizes[axis] - 1, _MOST_CELLS).round().astype(int)})
    return array


def _span(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    least = 1e-3 * max(abs(low), abs(high), 1e-12)  # what is flat is to look flat
    return (low, high) if high - low > least else ((low + high - least) / 2, (low + high + least) / 2)


def _step(low: float, high: float) -> float:
    """A round distance that gives about eight contours."""
    raw = (high - low) / 8
    power = 10.0 ** np.floor(np.log10(raw))
    return float(min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda step: abs(np.log(step / raw))))


def _axes(array: Any, x: str, y: str | None, label: str = "") -> dict[str, Any]:
    layout = plotly_layout(430, html.escape(x), label if y is None else y)
    for name, axis in (("xaxis", x), ("yaxis", y)):
        if axis is None:
            continue
        values = np.asarray(array[axis], np.float64)
        if is_log(values):
            layout[name] |= log_axis((float(values[0]), float(values[-1])))
            layout[name]["title"]["text"] += " (log scale)"
        else:
            layout[name]["type"] = "linear"
        layout[name]["showgrid"] = y is None
    return layout
