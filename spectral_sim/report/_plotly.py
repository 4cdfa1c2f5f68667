"""The small parts that figures of the page are made of: axes, lines, layouts as plotly.js takes them."""

import html
import textwrap
from typing import Any

import numpy as np

from ._gains_view import TimeAxis
from ._views import log_ticks

_LONGEST = 18  # letters of a line


def log_axis(span: tuple[float, float]) -> dict[str, Any]:
    """Range and ticks of a log axis."""
    ticks = log_ticks(span)
    plain = [1e-3 <= tick < 1e4 or not np.isclose(np.log10(tick) % 1, [0, 1]).any() for tick in ticks]
    text = [f"{t:.4g}" if p else f"10<sup>{np.log10(t):.0f}</sup>" for t, p in zip(ticks, plain, strict=True)]
    return {"range": np.log10(span).tolist(), "tickmode": "array", "tickvals": ticks, "ticktext": text}


def time_ticks(axis: TimeAxis, span: tuple[float, float]) -> dict[str, Any]:
    """Ticks of a time axis, with epochs below the steps; few enough for a narrow page."""
    if axis.per_epoch is None:
        return {}
    ticks = log_ticks(span)
    ticks = ticks[:: -(-len(ticks) // 4)]
    text = ["<br>".join(axis.label(tick)) for tick in ticks]
    return {"tickvals": ticks, "ticktext": text, "tickangle": 0, "tickfont": {"size": 11}}


def in_lines(name: str) -> str:
    """A name in at most two lines, so that a narrow page has room for it beside what it names."""
    return "<br>".join(html.escape(part) for part in textwrap.wrap(name, _LONGEST, max_lines=2, placeholder="…"))


def padded(values: Any) -> tuple[float, float]:
    """The range of positive values with a little room around it."""
    low, high = float(np.min(values)), float(np.max(values))
    room = max((high / low) ** 0.03, 1.05)
    return low / room, high * room


def scatter(mode: str, name: str, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    """A trace of "lines", "markers" or both; `x` is kept to the last digit, as steps and names are to be."""
    places = np.asarray(x).tolist()
    return {"type": "scatter", "mode": mode, "name": html.escape(name), "x": places, "y": rounded(y, 6), **more}


def line(name: str, x: Any, y: Any, colour: str, dash: str, width: float) -> dict[str, Any]:
    """A curve."""
    look = {"color": colour, "dash": dash, "width": width}
    return scatter("lines", name, rounded(x, 6), rounded(y), line=look, hovertemplate="%{y:.4g} at %{x:,.3g}")


def band(x: Any, low: Any, high: Any, colour: str, **more: Any) -> list[dict[str, Any]]:
    """What lies between two curves, as two traces without lines."""
    bare = {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, **more}
    return [
        scatter("lines", "", x, low, **bare),
        scatter("lines", "", x, high, **bare, fill="tonexty", fillcolor=colour),
    ]


def layout(height: int, x: str, y: str, *, log_y: bool = True) -> dict[str, Any]:
    """Axes, margins and a legend below the plot, where a narrow page has room for it."""
    axis = {"type": "log", "gridcolor": "#e6e6e6", "ticks": "outside", "automargin": True}
    return {
        "height": height,
        "margin": {"l": 60, "r": 16, "t": 24, "b": 50},
        "plot_bgcolor": "white",
        "paper_bgcolor": "white",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        "xaxis": {**axis, "title": {"text": x}},
        "yaxis": {**axis, "title": {"text": html.escape(y)}, "type": "log" if log_y else "linear"},
        "legend": {"font": {"size": 11}, "orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        "hoverlabel": {"namelength": -1},
    }


def linear_layout(height: int, x: str, y: str, **more: Any) -> dict[str, Any]:
    """The same with linear axes, and room for buttons above the plot; `more` is put into its parts."""
    axis = {"gridcolor": "#e2e2e2", "zeroline": False, "automargin": True}
    shape = {
        "height": height,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 60, "r": 15, "t": 40, "b": 95},  # the legend lies below, clear of the buttons above
        "xaxis": {**axis, "title": {"text": x}},
        "yaxis": {**axis, "title": {"text": y}},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    }
    for name, part in more.items():
        shape[name] = {**shape.get(name, {}), **part} if isinstance(part, dict) else part
    return shape


def rounded(values: Any, digits: int = 5) -> Any:
    """Nested lists with few digits, which halve the size of the page; None for what is not finite."""
    array = np.asarray(values, np.float64)
    if array.ndim > 1:
        return [rounded(row, digits) for row in array]
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in array]
