"""The pictures: roofs and what stands under them, ratios beside their targets, growth along each axis."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._extras import require
from ..report import BOUND_COLOUR, PALETTE, new_figure
from ._result import CaseResult, Program, Results
from ._targets import Standing, standings

_DPI = 130
_GRID = {"lw": 0.4, "color": "#dddddd"}
_MARKERS = "osD^vP"
_VERDICT_COLOURS = {"met": PALETTE[2], "not met": PALETTE[1]}


def write_plots(results: Results, folder: Path) -> list[str]:
    """Write each plot that has something to show; returns their names.

    Arguments:
        results: what was measured.
        folder: where to write.
    """
    require("matplotlib", "plots")
    written = []
    for name, draw in PLOTS.items():
        figure = draw(results)
        if figure is not None:
            figure.savefig(folder / name, dpi=_DPI)
            written.append(name)
    return written


def _roofline(results: Results) -> Any:
    """Operations a second over operations per byte, under the roofs that were measured.

    The counts are the compiler's, of a stand-in for the inner loop of each program, as it counts loops only once.
    """
    named = [(c.name, p) for c in results.cases for p in c.programs if p.flops and p.bytes_accessed]
    programs = [program for _, program in named]
    roofs = {limit.name: limit.value.median for limit in results.limits if limit.value is not None}
    if not programs or "copy" not in roofs:
        return None
    copy = roofs.pop("copy")
    places = [(_work(p) / (p.bytes_accessed or 1), _work(p) / p.run.median) for p in programs]
    low = min(0.05, *(x for x, _ in places)) / 2
    high = max(1e2, *(x for x, _ in places), *(roof / copy for roof in roofs.values())) * 4
    figure = new_figure(8.6, 5.6)
    axes = figure.subplots()
    slope = [low, max(roofs.values()) / copy]
    label = f"roof: copy through memory, {_si(copy)}B/s"
    axes.plot(slope, [copy * x for x in slope], color=BOUND_COLOUR, lw=1.8, label=label)
    for (name, roof), colour, dash in zip(roofs.items(), PALETTE, ("-", "--", "-."), strict=False):
        axes.plot(
            [roof / copy, high], [roof, roof], color=colour, ls=dash, lw=1.8, label=f"roof: {name}, {_si(roof)}op/s"
        )
    marks = zip(itertools.cycle(_MARKERS), itertools.cycle(PALETTE[3:] + PALETTE), strict=False)
    for (case, program), place, (marker, colour) in zip(named, places, marks, strict=False):
        label = f"stand-in for {case}, {program.dtype}: {_si(place[1])}op/s"
        axes.plot(*place, marker, ms=9, color=colour, mec="black", label=label, ls="none", zorder=5)
    bottom = min(y for _, y in places) / 20
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, 3 * max(*roofs.values(), copy * low)))
    axes.set(
        xlabel="operations per byte accessed (counted by the compiler on a stand-in for the inner loop)",
        ylabel="operations per second, by that count",
    )
    axes.grid(True, which="major", **_GRID)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(f"Roofline: {_machine(results)}")
    return figure


def _work(program: Program) -> float:
    return (program.flops or 0) + (program.transcendentals or 0)


def _ratios(results: Results) -> Any:
    """Every target, its figure over its bound, turned so that right of the line is met."""
    rows = standings(results)
    if not any(standing.figure is not None and standing.figure.value is not None for standing in rows):
        return None
    figure = new_figure(10, 1.8 + 0.42 * len(rows))
    axes = figure.subplots()
    seen, edges = {}, [1.0]
    for row, standing in enumerate(rows):
        judgement, target, shares = standing.verdict.partition(":")[0], standing.target, _shares(standing)
        colour = _VERDICT_COLOURS.get(judgement, PALETTE[0])
        value = standing.figure.value if standing.figure is not None else None
        if shares is not None:
            low, middle, high = shares
            axes.plot([low, high], [row, row], color=colour, lw=3, alpha=0.45, solid_capstyle="butt")
            marker = {"met": "o", "not met": "X"}.get(judgement, "D")
            seen[judgement] = axes.plot(middle, row, marker, color=colour, ms=9)[0]
            edges += [low, high]
        elif value is None:
            axes.text(0.99, row, judgement, transform=axes.get_yaxis_transform(), va="center", ha="right", fontsize=9)
        else:  # nothing is to be divided by a bound of zero
            words = f"{value.median:g}: {judgement}"
            axes.text(0.99, row, words, transform=axes.get_yaxis_transform(), va="center", ha="right", fontsize=9)
        unit = " s" if standing.figure is not None and standing.figure.unit == "s" else ""
        words = "–" if value is None else f"{value.median:.3g}{unit}", f"{target.wanted}{unit}"
        for place, word in zip((1.02, 1.18), words, strict=True):
            axes.text(place, row, word, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    axes.axvline(1, color="black", lw=1.2)
    axes.set_yticks(range(len(rows)), [_wrapped(standing.target.text) for standing in rows], fontsize=9)
    for place, word in ((1.02, "measured"), (1.18, "wanted")):
        axes.text(place, -0.9, word, transform=axes.get_yaxis_transform(), va="center", fontsize=9, style="italic")
    axes.set(xscale="log", xlim=(min(edges) / 1.5, max(edges) * 1.5), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("how far beyond the target (1: just met), log scale")
    _plain_log(axes.xaxis)
    axes.grid(True, axis="x", which="major", **_GRID)
    axes.set_axisbelow(True)
    figure.get_layout_engine().set(rect=(0, 0, 0.98, 1))  # the column on the right counts as half its width
    if seen:
        figure.legend(seen.values(), seen.keys(), loc="outside lower center", ncols=len(seen), frameon=False)
    figure.suptitle(f"Measured against targets: {_machine(results)}")
    return figure


def _shares(standing: Standing) -> tuple[float, float, float] | None:
    """Lower quartile, median and upper one over the bound; upside down where less is better; None without."""
    value = standing.figure.value if standing.figure is not None else None
    bound = standing.target.bound
    if value is None or bound <= 0 or not 0 < value.low <= value.high < float("inf"):
        return None
    if standing.target.at_least:
        return value.low / bound, value.median / bound, value.high / bound
    return bound / value.high, bound / value.median, bound / value.low


def _scaling(results: Results) -> Any:
    """Seconds along every axis, beside growth in proportion."""
    panels: list[tuple[CaseResult, str]] = []
    for case in results.cases:
        panels += [(case, axis) for axis in dict.fromkeys(point.axis for point in case.points)]
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(4.2 * columns, 3.4 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    handles = []
    for axes, (case, axis) in zip(grid, panels, strict=False):
        points = [point for point in case.points if point.axis == axis]
        size = np.array([point.size for point in points])
        middle = np.array([point.run.median for point in points])
        spans = np.abs([[p.run.median - p.run.low for p in points], [p.run.high - p.run.median for p in points]])
        ours = axes.errorbar(size, middle, spans, color=PALETTE[0], marker="o", capsize=3, lw=1.8)
        power = -1 if axis == "devices" else 1
        line = middle[-1] * (size / size[-1]) ** power if power == 1 else middle[0] * (size / size[0]) ** power
        (ideal,) = axes.plot(size, line, color=BOUND_COLOUR, ls="--", lw=1.4, zorder=1)
        handles = [ours, ideal]
        axes.set(xscale="log", yscale="log", xlabel=axis, title=case.name.removeprefix("scaling-"))
        axes.set_xticks(size, [f"{n:,}" for n in size])
        axes.minorticks_off()
        lowest, highest = min(middle.min(), line.min()), max(middle.max(), line.max())
        axes.set_ylim(lowest / 1.4, highest * 1.4)
        _plain_log(axes.yaxis)
        axes.grid(True, which="major", **_GRID)
    for axes in grid[::columns]:
        axes.set_ylabel("seconds")
    names = ["measured, quartiles", "in proportion (devices: inversely)"]
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"Growth along each axis: {_machine(results)}")
    return figure


def _plain_log(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def _machine(results: Results) -> str:
    machine = results.machine
    kind = f"{machine['cores']} cores" if machine["platform"] == "cpu" else machine["device"]
    return f"{kind}, {'quick' if results.quick else 'full'} run"


def _si(value: float) -> str:
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g} "


def _wrapped(text: str) -> str:
    head, comma, tail = text.partition(", ")
    return f"{head},\n{tail}" if comma and len(text) > 44 else text


PLOTS: dict[str, Callable[[Results], Any]] = {
    "roofline.png": _roofline,
    "ratios.png": _ratios,
    "scaling.png": _scaling,
}
"""File name and drawing function of every plot."""
