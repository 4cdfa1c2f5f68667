"""The main panels of the page: difference to uniform sampling, and cost against gain."""

import html
from typing import Any

import numpy as np

from ..assessment import Assessment, Table
from ._gains_view import differences, shown_runs, spread_labels, time_axis
from ._plotly import band, in_lines, layout, line, log_axis, rounded, scatter, time_ticks
from ._style import styles


def difference_figure(assessment: Assessment, numbers: Table) -> dict[str, Any] | None:
    """Loss at the same compute against uniform sampling, in percent: below zero a schedule pays for itself."""
    shown = differences(assessment, shown_runs(assessment, numbers))
    if not shown or numbers.window is None:
        return None
    axis, style = time_axis(assessment), styles(assessment.runs)
    seen = assessment.times[1:] >= numbers.window.start / 3
    x = assessment.times[1:][seen] * axis.scale
    values = np.concatenate([each.value[seen] for each in shown])
    values = values[np.isfinite(values)]
    low, high = float(np.clip(values.min(initial=0), -100, -2)), float(np.clip(values.max(initial=0), 2, 60))
    room = 0.06 * (high - low)
    data, labels = [], []
    for each in shown:
        own = style[each.run.name]
        if each.low is not None and each.high is not None and _is_shaded(each.run.name, numbers):
            data += band(rounded(x), rounded(each.low[seen]), rounded(each.high[seen]), _faint(own.colour))
        curve = line(each.run.name, x, each.value[seen], own.colour, own.dash, own.width)
        data.append(curve | {"showlegend": False, "hovertemplate": "%{y:+.1f}% at %{x:,.3g}"})
        labels.append((each.run.name, float(np.nan_to_num(each.value[seen][-1])), own.colour))
    figure = layout(430, axis.title, f"{assessment.measure} against uniform, %", log_y=False)
    figure["yaxis"] |= {
        "range": [low - room, high + room],
        "zeroline": True,
        "zerolinecolor": "#000",
        "ticksuffix": "%",
    }
    figure["xaxis"] |= log_axis((x[0], x[-1])) | time_ticks(axis, (x[0], x[-1]))
    places = spread_labels([end for _, end, _ in labels], low, high, 0.075 * (high - low))
    beside = {"x": 1.01, "xref": "paper", "xanchor": "left", "align": "left"}
    figure["annotations"] = [
        _label(name, place, **beside, font={"color": colour, "size": 11})
        for (name, _, colour), place in zip(labels, places, strict=True)
    ]
    figure["margin"]["r"] = 118
    return {"data": data, "layout": figure}


def cost_figure(assessment: Assessment, numbers: Table) -> dict[str, Any] | None:
    """What each schedule costs, against what it gains before that: above the line it pays."""
    points = []
    for row in numbers.rows:
        gross, net = row.gains.horizon_gross, row.gains.horizon_net
        if row.is_uniform or gross is None or net is None or gross.bound == "<=":
            continue
        points.append((row.name, max(gross.value / net.value - 1, 0.0), gross.value, net.value))
    if not points or not numbers.priced:
        return None
    style = styles(assessment.runs)
    least = 0.01
    cost = np.array([max(point[1], least) for point in points])
    gain = np.array([point[2] for point in points])
    most = float(cost.max() * 3)
    line_x = np.geomspace(least / 2, most, 60)
    marker = {"size": 11, "color": [style[name].colour for name, *_ in points]}
    text = [html.escape(f"{name}: gross {gross:.3g}x, net {net:.3g}x") for name, _, gross, net in points]
    hover = {"text": text, "hovertemplate": "%{text}<extra></extra>"}
    data = [
        line("pays above this line", line_x, 1 + line_x, "#000000", "solid", 1.2) | {"showlegend": False},
        scatter("markers", "schedules", rounded(cost), rounded(gain), marker=marker, showlegend=False, **hover),
    ]
    span = float(min(gain.min(), 1) / 1.3), float(max(gain.max(), 1.2) * 1.3)
    figure = layout(400, "cost of curation over that of training", "gain before its cost (times as soon)")
    figure["xaxis"] |= log_axis((least / 2, most))
    figure["yaxis"] |= log_axis(span)
    named = sorted(points, key=lambda point: -point[3])[:6]
    low, high = float(np.log10(span[0])), float(np.log10(span[1]))
    heights = spread_labels([float(np.log10(point[2])) for point in named], low, high, 0.07 * (high - low))
    figure["annotations"] = []
    for (name, cost, _, _), place in zip(named, heights, strict=True):
        side = {"xanchor": "left", "xshift": 9} if cost < most / 30 else {"xanchor": "right", "xshift": -9}
        x = float(np.log10(max(cost, least)))
        figure["annotations"].append(_label(name, place, x=x, font={"size": 11}, **side))
    return {"data": data, "layout": figure}


def _label(name: str, height: float, **more: Any) -> dict[str, Any]:
    return {"text": in_lines(name), "y": height, "showarrow": False, **more}


def _is_shaded(name: str, numbers: Table) -> bool:
    """Bands of all curves would hide each other: those of the picked one and of the best two are drawn."""
    best = [row.name for row in numbers.rows if not row.is_uniform][:2]
    return name in best or (numbers.picked is not None and name == numbers.picked.name)


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"
