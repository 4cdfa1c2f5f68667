"""Colours and line styles. Colour tells schedules of one kind apart, the line style tells the kinds apart."""

from dataclasses import dataclass
from typing import Any

from .._extras import require
from ..assessment import Run

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F4F24")
"""Colours of schedules: those of Okabe and Ito (2008), told apart with any colour vision, and a brown.

Black is uniform sampling, and yellow is too pale.
"""

BOUND_COLOUR = "#8A8A8A"
"""Colour of curves that no schedule goes below."""

BAND = "rgba(0,114,178,0.18)"
"""The first colour, for what lies around a curve of it."""

GROSS_COLOUR, NET_COLOUR = "#0072B2", "#E69F00"
LEVEL_COLOURS = ("#000000", "#D55E00", "#009E73")  # what a search is compared with: uniform, by hand, the certificate
_DASHES = {  # of each kind; the second once colours come round again. `_reading` explains them
    "static": ("dash", "longdash"),
    "open loop": ("dashdot", "longdashdot"),
    "closed loop": ("solid", "dot"),
    "own labels": ("8px,3px,2px,3px,2px,3px", "14px,3px,2px,3px,2px,3px"),
}
_MATPLOTLIB = {
    "solid": "-",
    "dash": (0, (5, 2)),
    "longdash": (0, (11, 3)),
    "dashdot": (0, (5, 1.5, 1, 1.5)),
    "longdashdot": (0, (9, 1.5, 1, 1.5)),
    "dot": (0, (1, 1.2)),
    "8px,3px,2px,3px,2px,3px": (0, (5, 1.5, 1, 1.5, 1, 1.5)),
    "14px,3px,2px,3px,2px,3px": (0, (9, 1.5, 1, 1.5, 1, 1.5)),
}


@dataclass(frozen=True)
class Style:
    """How one schedule is drawn: colour, plotly dash, matplotlib dash and width."""

    colour: str
    dash: str
    linestyle: object
    width: float


CURVE_DASHES = {
    kind: Style(BOUND_COLOUR, dash, _MATPLOTLIB[dash], 1.4)
    for kind, dash in (
        ("bound", "solid"),
        ("floor", "dot"),
        ("lower", "dashdot"),
        ("upper", "longdashdot"),
    )
}
"""How each kind of curve that is not a run is drawn."""


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure that leaves the global state of matplotlib alone.

    Arguments:
        width: in inches.
        height: in inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    require("matplotlib", "a picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def styles(runs: tuple[Run, ...]) -> dict[str, Style]:
    """A style for each run, stable under runs being added behind it."""
    chosen: dict[str, Style] = {}
    used: dict[tuple[str, str], int] = {}
    number = 0
    for run in runs:
        if run.family == "uniform":
            chosen[run.name] = Style("#000000", "solid", "-", 2.6)
            continue
        colour, dashes = PALETTE[number % len(PALETTE)], _DASHES[run.family]
        repeat = used.get((colour, run.family), 0)
        used[colour, run.family] = repeat + 1
        dash = dashes[repeat % len(dashes)]
        chosen[run.name] = Style(colour, dash, _MATPLOTLIB[dash], 1.7)
        number += 1
    return chosen
