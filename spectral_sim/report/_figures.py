"""The interactive plots, as plain plotly.js descriptions: data, layout, and views to switch between."""

import html
from typing import Any

import numpy as np

from ..analysis import Speedup
from ..assessment import Assessment, Run, format_speedup, table
from ._gains_view import shown_runs, time_axis
from ._plotly import in_lines, layout, line, log_axis, padded, rounded, scatter, time_ticks
from ._style import BOUND_COLOUR, CURVE_DASHES, GROSS_COLOUR, LEVEL_COLOURS, NET_COLOUR, styles
from ._views import (
    COLOUR_TICKS,
    END_OF_GAIN,
    LossView,
    SearchView,
    colour_limit,
    energy_span,
    frontier_line,
    heat_map,
    loss_views,
    mode_curves,
    search_views,
    shown_beside,
    speedup_bars,
)

_MOST_TICKS = 8
_SPEEDUP_TICKS = [digit * 10.0**power for power in range(-6, 6) for digit in (1, 2, 5)]
_RDBU = "#053061 #2166ac #4393c3 #92c5de #d1e5f0 #f7f7f7 #fddbc7 #f4a582 #d6604d #b2182b #67001f"
# ColorBrewer RdBu from blue to red: white at weight 1, safe for colour-blind readers
RED_BLUE = [[n / 10, colour] for n, colour in enumerate(_RDBU.split())]


def loss_figure(assessment: Assessment) -> dict[str, Any]:
    """Loss curves; the views are the losses that they can show."""
    views, style = loss_views(assessment), styles(assessment.runs)
    axis, shown = time_axis(assessment), {run.name for run in shown_runs(assessment)}
    curves = [curve for curve in assessment.bounds if any(curve is own for view in views for own, _ in view.curves)]
    data = []
    for curve in curves:
        dash = CURVE_DASHES[curve.kind]
        data.append(line(curve.name, [], [], dash.colour, dash.dash, 1.6) | {"legendrank": 2000})
    for run in assessment.runs:
        own = style[run.name]
        hidden = {} if run.name in shown else {"visible": "legendonly"}
        data.append(line(run.name, [], [], own.colour, own.dash, own.width) | hidden)

    marked = views[0].ends

    def values(view: LossView) -> list[Any]:
        beside = {curve.name: y for curve, y in view.curves}
        y = [rounded(beside.get(c.name, np.full(len(view.times), np.nan))) for c in curves]
        y += [rounded(values) for _, values in view.lines]
        return [*y, rounded([value for _, _, value in view.ends])] if marked else y

    if marked:
        colours = [style[run.name].colour for run, _, _ in marked]
        marker = {"symbol": "diamond", "size": 10, "color": colours, "line": {"color": "white", "width": 1}}
        look = {"marker": marker, "hovertemplate": "%{y:.4g} at %{x:.3g}", "legendrank": 2001}
        data.append(scatter("markers", END_OF_GAIN, [], [], **look))
    for trace, y in zip(data, values(views[0]), strict=True):
        trace |= {"x": rounded(views[0].times * axis.scale, 6), "y": y}
    if marked:
        data[-1]["x"] = rounded([time * axis.scale for _, time, _ in marked], 6)
    switched = [
        {
            "name": view.title,
            "data": {"y": values(view)},
            "layout": {
                "yaxis.title.text": view.axis,
                **{f"yaxis.{name}": value for name, value in log_axis(view.span).items()},
            },
        }
        for view in views
    ]
    shape = layout(_height(460, len(data)), axis.title, views[0].axis)
    shape["yaxis"] |= log_axis(views[0].span)
    span = views[0].times[0] * axis.scale, views[0].times[-1] * axis.scale
    shape["xaxis"] |= log_axis(span) | time_ticks(axis, span)
    return {"data": data, "layout": shape, "views": switched}


def weight_figure(assessment: Assessment) -> dict[str, Any] | None:
    """Weights over time; the views are the schedules, first shown is the one that was picked."""
    runs = [run for run in assessment.runs if run.is_weighted]
    if not runs:
        return None
    limit = colour_limit(assessment)
    rows = assessment.rows
    views = []
    for run in runs:
        weights = heat_map(assessment, run).weights
        z = np.log10(np.clip(weights, 1 / limit, limit))
        name = run.name if run.ok else f"{run.name} ({run.describe(assessment.times)})"
        views.append({"name": name, "data": {"z": [rounded(z, 4)], "customdata": [rounded(weights, 3)]}, "layout": {}})
    picked = table(assessment).picked
    start = next((n for n, run in enumerate(runs) if picked is not None and run.name == picked.name), 0)
    trace, axes = _heat_trace(assessment, runs[start], limit)
    shape = layout(400, time_axis(assessment).title, rows.label)
    for name, options in axes.items():
        shape[name] |= options
    shape["margin"]["r"] = 84
    return {"data": [trace], "layout": shape, "views": views, "start": start}


def _heat_trace(assessment: Assessment, run: Run, limit: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights of one run, and what its axes look like."""
    cells, rows, axis = heat_map(assessment, run), assessment.rows, time_axis(assessment)
    edges = cells.times * axis.scale
    ticks = [t for t in COLOUR_TICKS if 0.999 / limit <= t <= 1.001 * limit]
    trace = {
        "type": "heatmap",
        "x": rounded(edges, 6),
        "y": rounded(cells.rows, 6),
        "z": rounded(np.log10(np.clip(cells.weights, 1 / limit, limit)), 4),
        "customdata": rounded(cells.weights, 3),
        "zmin": -np.log10(limit),
        "zmax": np.log10(limit),
        "colorscale": RED_BLUE,
        "hovertemplate": "%{x:,.3g}<br>row %{y}<br>weight %{customdata}<extra></extra>",
        "colorbar": {
            "title": {"text": "weight", "side": "right"},
            "tickvals": np.log10(ticks).tolist(),
            "ticktext": [f"{tick:g}" for tick in ticks],
        },
    }
    vertical: dict[str, Any] = {"type": "log" if rows.log else "linear", "showgrid": False}
    ends = (cells.rows[0], cells.rows[-1])
    vertical |= log_axis(ends) if rows.log else {"range": list(ends)}
    if rows.named:
        vertical |= {"tickvals": rows.position.tolist(), "ticktext": [html.escape(name) for name in rows.names]}
    ticks = log_axis((edges[0], edges[-1])) | time_ticks(axis, (edges[0], edges[-1]))
    horizontal = {**ticks, "showgrid": False}
    return trace, {"xaxis": horizontal, "yaxis": vertical}


def learned_figure(assessment: Assessment) -> dict[str, Any] | None:
    """What was learned beside what is ideal, with the frontier over both."""
    runs = shown_beside(assessment)
    if not runs:
        return None
    limit = colour_limit(assessment)
    shape = layout(430, time_axis(assessment).title, assessment.rows.label)
    width, data = 1 / len(runs), []
    shape["annotations"] = []
    for n, run in enumerate(runs):
        suffix = "" if n == 0 else str(n + 1)
        trace, axes = _heat_trace(assessment, run, limit)
        trace |= {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "showscale": n == 0, "name": html.escape(run.name)}
        edge = frontier_line(assessment, run)[1:]
        edges = assessment.times[1:] * time_axis(assessment).scale
        curve = line("frontier: energy has fallen by e", edges, edge, "#000000", "solid", 2)
        data += [trace, curve | {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "showlegend": n == 0}]
        left, right = n * width, (n + 1) * width - (0.03 if n + 1 < len(runs) else 0)
        shape[f"xaxis{suffix}"] = {**shape["xaxis"], **axes["xaxis"], "domain": [left, right], "anchor": f"y{suffix}"}
        shape[f"yaxis{suffix}"] = {**shape["yaxis"], **axes["yaxis"], "anchor": f"x{suffix}"}
        if n:
            shape[f"yaxis{suffix}"] |= {"matches": "y", "showticklabels": False, "title": {"text": ""}}
        place = {"x": (left + right) / 2, "y": 1.01, "xref": "paper", "yref": "paper", "yanchor": "bottom"}
        shape["annotations"].append({"text": html.escape(run.name), "showarrow": False, **place})
    shape["margin"] |= {"r": 110, "b": 90}
    return {"data": data, "layout": shape}


def search_figure(assessment: Assessment) -> dict[str, Any] | None:
    """The gap over iterations; the views are the searches."""
    views = search_views(assessment)
    if not views:
        return None
    drawn = [_search_traces(view) for view in views]
    most = max(len(traces) for traces in drawn)
    blank = line("", [], [], "#000000", "solid", 1) | {"showlegend": False}
    drawn = [[*traces, *([blank] * (most - len(traces)))] for traces in drawn]
    switched = []
    for view, traces in zip(views, drawn, strict=True):
        keys = ("x", "y", "name", "showlegend")
        data: dict[str, Any] = {key: [trace.get(key, True) for trace in traces] for key in keys}
        data |= {f"line.{key}": [trace["line"][key] for trace in traces] for key in ("color", "dash", "width")}
        axis = {"yaxis.title.text": html.escape(view.axis), "yaxis.type": "log" if view.log else "linear"}
        switched.append({"name": view.title, "data": data, "layout": {**axis, "yaxis.autorange": True}})
    shape = layout(400, "gradient step", views[0].axis)
    shape["xaxis"] |= {"type": "linear"}
    shape["yaxis"] |= {"type": "log" if views[0].log else "linear", "exponentformat": "power"}
    return {"data": drawn[0], "layout": shape, "views": switched}


def _search_traces(view: SearchView) -> list[dict[str, Any]]:
    steps = np.arange(1.0, len(view.best) + 1)
    keep = np.unique(np.linspace(0, len(steps) - 1, 400).astype(int))
    traces = [
        line("starts", steps[keep], start[keep], BOUND_COLOUR, "solid", 1) | {"showlegend": n == 0}
        for n, start in enumerate(view.starts.T)
    ]
    traces.append(line("best so far", steps[keep], view.best[keep], GROSS_COLOUR, "solid", 2.5))
    for (name, value), colour, dash in zip(view.levels, LEVEL_COLOURS, ("solid", "dash", "dot"), strict=False):
        traces.append(line(name, steps[[0, -1]], np.full(2, value), colour, dash, 1.6))
    return traces


def eigenvalue_figure(assessment: Assessment) -> dict[str, Any] | None:
    """The spectrum under uniform sampling; None where it is not known."""
    values = assessment.spectrum.eigenvalues
    if not np.any(values > 0):
        return None
    values = np.where(values > 0, values, np.nan)
    trace = line("eigenvalue", assessment.spectrum.index, values, "#000000", "solid", 2)
    shape = layout(400, "mode number (log scale)", "eigenvalue (1 / time)")
    shape["xaxis"] |= log_axis(padded(assessment.spectrum.index))
    shape["yaxis"] |= log_axis(padded(values[values > 0]))
    return {"data": [trace], "layout": shape | {"showlegend": False}}


def energy_figure(assessment: Assessment) -> dict[str, Any]:
    """Residual energy of each entry of the spectrum before and after training."""
    style = styles(assessment.runs)
    before = mode_curves(assessment, assessment.reference.initial_mode_energy)
    data = [line("before training", *before, BOUND_COLOUR, "solid", 6)]
    for run in shown_runs(assessment):
        own = style[run.name]
        data.append(line(run.name, *mode_curves(assessment, run.mode_energy), own.colour, own.dash, own.width))
    number = f"{assessment.spectrum.entry} number (log scale)"
    shape = layout(_height(400, len(data)), number, "energy of the training residual")
    shape["xaxis"] |= log_axis(padded(assessment.spectrum.index))
    shape["yaxis"] |= log_axis(energy_span(assessment))
    return {"data": data, "layout": shape}


def speedup_figure(assessment: Assessment) -> dict[str, Any] | None:
    """Gross and net speed-ups side by side; the views are anytime and one horizon."""
    groups = speedup_bars(table(assessment))
    if not groups or not groups[0].bars:
        return None
    names = [in_lines(name) for name, _, _ in groups[0].bars]
    views = []
    for group in groups:
        parts = [_bars([gross for _, gross, _ in group.bars]), _bars([net for _, _, net in group.bars])]
        data = {key: [part[key] for part in parts] for key in ("x", "text", "marker.pattern.shape")}
        views.append({"name": group.title, "data": data, "layout": {}})
    pattern, data = {"fillmode": "overlay", "fgcolor": "white", "fgopacity": 1, "size": 6}, []
    for part, (label, colour) in enumerate((("gross", GROSS_COLOUR), ("net of the cost of curation", NET_COLOUR))):
        first = views[0]["data"]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label,
                "y": names,
                "x": first["x"][part],
                "base": 1,
                "text": first["text"][part],
                "textposition": "outside",
                "cliponaxis": False,
                "hovertemplate": "%{y}: %{text}<extra>" + label + "</extra>",
                "marker": {"color": colour, "pattern": {**pattern, "shape": first["marker.pattern.shape"][part]}},
            }
        )
    values = [v.value for group in groups for bar in group.bars for v in bar[1:] if v is not None]
    low, high = np.log10(min([1.0, *values])), np.log10(max([1.0, *values]))
    room = max(0.3 * (high - low), 0.12)  # for the numbers beside the bars
    ticks = [tick for tick in _SPEEDUP_TICKS if low - room <= np.log10(tick) <= high + room]
    ticks = ticks if len(ticks) <= _MOST_TICKS else [tick for tick in ticks if f"{tick:e}"[0] == "1"]
    shape = layout(110 + 40 * len(names), "speed-up over uniform sampling (log scale)", "")
    shape["xaxis"] |= {"range": [low - room, high + room], "tickvals": ticks, "tickangle": 0}
    shape["xaxis"]["ticktext"] = [f"{tick:g}" for tick in ticks]
    shape["yaxis"] = {"autorange": "reversed", "automargin": True, "type": "category", "showgrid": False}
    shape |= {"barmode": "group", "bargap": 0.3, "showlegend": False}
    shape["shapes"] = [{"type": "line", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "line": {"width": 1}}]
    return {"data": data, "layout": shape, "views": views}


def _bars(values: list[Speedup | None]) -> dict[str, list[Any]]:
    """Lengths from 1, labels and hatching."""
    return {
        "x": [None if value is None else value.value - 1 for value in values],
        "text": ["" if value is None else format_speedup(value) for value in values],
        "marker.pattern.shape": ["" if value is None or value.bound == "=" else "/" for value in values],
    }


def _height(least: int, entries: int) -> int:
    """Of a figure whose legend has so many entries below the plot, so that it need not be scrolled."""
    return least + 11 * entries
