"""The pictures: roofs and what stands under them, ratios beside their targets, growth along each axis."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..report import BOUND_COLOUR, PALETTE, new_figure, require
from ._result import CaseResult, Program, Results
from ._targets import TARGETS, verdict

__all__ = ["PLOTS", "write_plots"]

_DPI = 130
_GRID = {"lw": 0.4, "color": "#dddddd"}
_MARKERS = "osD^vP"
_VERDICT_COLOURS = {"met": PALETTE[2], "not met": PALETTE[1], "not judged": PALETTE[0]}


def write_plots(results: Results, folder: Path) -> list[str]:
    """Write each plot that has something to show; returns their names."""
    require("matplotlib", "plots")
    written = []
    for name, draw in PLOTS.items():
        figure = draw(results)
        if figure is not None:
            figure.savefig(folder / name, dpi=_DPI)
            written.append(name)
    return written


def _roofline(results: Results) -> Any:
    """Operations a second over operations per byte, by the compiler's count, under the roofs that were measured."""
    programs = [p for case in results.cases for p in case.programs if p.flops and p.bytes_accessed]
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
    for program, place, marker, colour in zip(programs, places, _MARKERS, PALETTE[3:] + PALETTE, strict=False):
        label = f"{program.name}, {program.dtype}: {_si(place[1])}op/s"
        axes.plot(*place, marker, ms=9, color=colour, mec="black", label=label, ls="none", zorder=5)
    bottom = min(y for _, y in places) / 20
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, 3 * max(*roofs.values(), copy * low)))
    axes.set(
        xlabel="operations per byte accessed (the compiler's count; caches may serve them)",
        ylabel="operations per second",
    )
    axes.grid(True, which="major", **_GRID)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(f"Roofline: {_machine(results)}")
    return figure


def _work(program: Program) -> float:
    return (program.flops or 0) + (program.transcendentals or 0)


def _ratios(results: Results) -> Any:
    """Every figure with a target over its bound, turned so that right of the line is met."""
    judged = [(case, f) for case in results.cases for f in case.figures if f.target and f.value is not None]
    judged = [(case, f) for case, f in judged if TARGETS[f.target or ""].bound > 0]
    if not judged:
        return None
    figure = new_figure(10, 1.6 + 0.42 * len(judged))
    axes = figure.subplots()
    seen, edges = {}, [1.0]
    for row, (_, f) in enumerate(judged):
        target, value = TARGETS[f.target or ""], f.value
        assert value is not None
        shares = [v / target.bound for v in (value.low, value.median, value.high)]
        low, middle, high = shares if target.at_least else [1 / s for s in reversed(shares)]
        judgement = verdict(f, results.quick).partition(":")[0]
        colour = _VERDICT_COLOURS[judgement]
        axes.plot([low, high], [row, row], color=colour, lw=3, alpha=0.45, solid_capstyle="butt")
        seen[judgement] = axes.plot(middle, row, "o" if judgement != "not met" else "X", color=colour, ms=9)[0]
        unit = " s" if f.unit == "s" else ""
        words = f"{value.median:.3g}{unit}", f"{target.wanted}{unit}"
        for place, word in zip((1.02, 1.16), words, strict=True):
            axes.text(place, row, word, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        edges += [low, high]
    axes.axvline(1, color="black", lw=1.2)
    axes.set_yticks(range(len(judged)), [_wrapped(TARGETS[f.target or ""].text) for _, f in judged], fontsize=9)
    for place, word in ((1.02, "measured"), (1.16, "wanted")):
        axes.text(place, -0.9, word, transform=axes.get_yaxis_transform(), va="center", fontsize=9, style="italic")
    axes.set(xscale="log", xlim=(min(edges) / 1.5, max(edges) * 1.5), ylim=(len(judged) - 0.4, -0.6))
    axes.set_xlabel("how far beyond the target (1: just met), log scale")
    _plain_log(axes.xaxis)
    axes.grid(True, axis="x", which="major", **_GRID)
    axes.set_axisbelow(True)
    figure.get_layout_engine().set(rect=(0, 0, 0.98, 1))  # the column on the right counts as half its width
    figure.legend(seen.values(), seen.keys(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"Measured against targets: {_machine(results)}")
    return figure


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
