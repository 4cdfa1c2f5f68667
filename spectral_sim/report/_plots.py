"""Plots as PNG files, drawn by matplotlib without touching its global state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._extras import require
from ..assessment import Assessment, Run, format_short, format_speedup, table
from ._gains_view import shown_runs, time_axis
from ._style import BOUND_COLOUR, CURVE_DASHES, GROSS_COLOUR, LEVEL_COLOURS, NET_COLOUR, new_figure, styles
from ._views import (
    COLOUR_TICKS,
    END_OF_GAIN,
    colour_limit,
    energy_span,
    frontier_line,
    heat_map,
    log_ticks,
    loss_views,
    mode_curves,
    search_views,
    shown_beside,
    speedup_bars,
)

_DPI = 110
_MOST_MAPS = 4


def write_plots(assessment: Assessment, folder: Path) -> list[str]:
    """Write every plot; one that fails leaves the others.

    Arguments:
        assessment: what was compared.
        folder: where to write.

    Returns:
        A warning for each that failed.
    """
    require("matplotlib", "plots")
    warnings = []
    for name, draw in PLOTS.items():
        try:
            figure = draw(assessment)
            if figure is not None:
                figure.set_dpi(_DPI)
                figure.canvas.print_png(folder / name)  # savefig would draw everything twice
        except Exception as error:  # whatever goes wrong in a plot, the results are on disk already
            warnings.append(f"{name} could not be drawn: {type(error).__name__}: {error}")
    return warnings


def _losses(assessment: Assessment) -> Any:
    from matplotlib.lines import Line2D

    runs, axis = shown_runs(assessment), time_axis(assessment)
    views, style = loss_views(assessment, runs)[:2], styles(assessment.runs)
    entries = len(runs) + len(assessment.bounds)
    columns = max(2, min(5, len(views) * 2))
    figure = new_figure(5.4 * len(views), 4.6 + 0.25 * -(-entries // columns))
    handles: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    for axes, view in zip(np.ravel(figure.subplots(1, len(views))), views, strict=True):
        for curve, values in view.curves:
            dash = CURVE_DASHES[curve.kind].linestyle
            line = axes.plot(view.times * axis.scale, values, color=BOUND_COLOUR, ls=dash, lw=1.4, zorder=1)[0]
            if curve.kind in ("lower", "upper"):  # there may be several, all alike
                place = (view.times[0] * axis.scale, values[0])
                backed = {"pad": 0.5, "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
                text = {"textcoords": "offset points", "fontsize": 7, "color": "#666666", "bbox": backed}
                axes.annotate(curve.name, place, (2, 4), **text)
            else:
                beside[curve.name] = line
        for run, values in view.lines:
            own = style[run.name]
            order = 4 if run.family == "uniform" else 3
            line = axes.plot(
                view.times * axis.scale, values, color=own.colour, ls=own.linestyle, lw=own.width, zorder=order
            )[0]
            handles[run.name] = line
        for run, time, value in view.ends:
            look = {"marker": "D", "ms": 7, "mec": "white", "mew": 1, "ls": "", "zorder": 5}
            axes.plot(time * axis.scale, value, color=style[run.name].colour, **look)
            beside[END_OF_GAIN] = Line2D([], [], color="#444444", **look)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=_time_label(assessment),
            ylabel=view.axis,
            title=view.title,
            ylim=view.span,
        )
        _label_log(axes.yaxis, view.span)
        axes.grid(True, which="major", lw=0.4, color="#dddddd")
    names, lines = [*handles, *beside], [*handles.values(), *beside.values()]
    figure.legend(lines, names, loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle(assessment.title)
    return figure


def _weights(assessment: Assessment) -> Any:
    runs = [run for run in shown_runs(assessment) if run.is_weighted][:_MOST_MAPS]
    if not runs:
        return None
    columns = min(4, len(runs))
    lines = -(-len(runs) // columns)
    limit = colour_limit(assessment)
    figure = new_figure(3.4 * columns + 1, 2.5 * lines + 1)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    mesh = None
    for axes, run in zip(grid.ravel(), runs, strict=False):
        mesh = _heat_map(axes, assessment, run, limit)
    for axes in grid.ravel()[len(runs) :]:
        axes.set_visible(False)
    for column in range(columns):  # the lowest plot of each column carries its time axis
        lowest = [axes for axes in grid[:, column] if axes.get_visible()][-1]
        lowest.tick_params(labelbottom=True)
    figure.supxlabel(_time_label(assessment), fontsize=10)
    figure.supylabel(assessment.rows.label, fontsize=10)
    bar = figure.colorbar(mesh, ax=grid, extend="both", aspect=35, label="weight (1: as in uniform sampling)")
    _label_colours(bar, limit)
    figure.suptitle(f"{assessment.title}: weights over time")
    return figure


def _heat_map(axes: Any, assessment: Assessment, run: Run, limit: float) -> Any:
    from matplotlib.colors import LogNorm

    cells = heat_map(assessment, run)
    shown = np.clip(cells.weights, 1 / limit, limit)
    mesh = axes.pcolormesh(
        cells.times * time_axis(assessment).scale, cells.rows, shown, norm=LogNorm(1 / limit, limit), cmap="RdBu_r"
    )
    axes.set_title(run.name if run.ok else f"{run.name} (failed)", fontsize=10)
    axes.set_xscale("log")
    if assessment.rows.log:
        axes.set_yscale("log")
    elif assessment.rows.named:
        axes.set_yticks(assessment.rows.position, assessment.rows.names, fontsize=7)
    return mesh


def _learned(assessment: Assessment) -> Any:
    """What was learned beside what is ideal, with the frontier over both."""
    runs = shown_beside(assessment)
    if not runs:
        return None
    limit = colour_limit(assessment)
    figure = new_figure(5.2 * len(runs) + 1.2, 4.4)
    grid = figure.subplots(1, len(runs), squeeze=False, sharex=True, sharey=True)
    mesh = None
    for axes, run in zip(grid[0], runs, strict=True):
        mesh = _heat_map(axes, assessment, run, limit)
        edge = frontier_line(assessment, run)
        shown = assessment.times[1:] * time_axis(assessment).scale
        axes.plot(shown, edge[1:], color="black", lw=1.8, label="frontier: energy has fallen by e")
        axes.set(xlabel=_time_label(assessment), ylim=axes.get_ylim())
    grid[0, 0].set_ylabel(assessment.rows.label)
    bar = figure.colorbar(mesh, ax=grid, extend="both", aspect=30, label="weight (1: as in uniform sampling)")
    _label_colours(bar, limit)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", frameon=False)
    figure.suptitle(f"{assessment.title}: learned weights")
    return figure


def _search(assessment: Assessment) -> Any:
    """The gap over iterations."""
    views = search_views(assessment)
    if not views:
        return None
    figure = new_figure(5.8 * len(views) + 0.6, 4.8)
    for axes, view in zip(figure.subplots(1, len(views), squeeze=False)[0], views, strict=True):
        steps = np.arange(1, len(view.best) + 1)
        lines = axes.plot(steps, view.starts, color=BOUND_COLOUR, lw=0.9)
        lines[0].set_label("each start")
        axes.plot(steps, view.best, color=GROSS_COLOUR, lw=2.2, label="best so far")
        for (name, value), colour, dash in zip(view.levels, LEVEL_COLOURS, ("-", "--", ":"), strict=False):
            axes.axhline(value, color=colour, ls=dash, lw=1.5, label=name)
        axes.set(xlabel="gradient step", ylabel=view.axis, title=view.title)
        if view.log:
            axes.set_yscale("log")
        axes.grid(True, which="major", lw=0.4, color="#dddddd")
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{assessment.title}: search")
    return figure


def _spectra(assessment: Assessment) -> Any:
    style = styles(assessment.runs)
    runs = shown_runs(assessment)
    figure = new_figure(12, 4.8)
    values = np.where(assessment.spectrum.eigenvalues > 0, assessment.spectrum.eigenvalues, np.nan)
    known = not np.isnan(values).all()
    *beside, right = figure.subplots(1, 1 + known, squeeze=False)[0]
    for left in beside:
        left.plot(assessment.spectrum.index, values, color="black", lw=1.8)
        left.set(title="eigenvalues under uniform sampling", xlabel="mode number", ylabel="eigenvalue (1 / time)")
    before = mode_curves(assessment, assessment.reference.initial_mode_energy)
    handles = [right.plot(*before, color=BOUND_COLOUR, lw=4, alpha=0.6, solid_capstyle="round")[0]]
    for run in runs:
        own = style[run.name]
        after = mode_curves(assessment, run.mode_energy)
        handles += right.plot(*after, color=own.colour, ls=own.linestyle, lw=own.width)
    title = (
        f"residual energy per {assessment.spectrum.entry}, before and after (t = {format_short(assessment.times[-1])})"
    )
    right.set(title=title, xlabel=f"{assessment.spectrum.entry} number", ylabel="energy of the training residual")
    for axes in (*beside, right):
        axes.set(xscale="log", yscale="log")
        axes.grid(True, which="major", lw=0.4, color="#dddddd")
    right.set_ylim(energy_span(assessment))
    names = ["before training", *(run.name for run in runs)]
    figure.legend(handles, names, loc="outside right center", frameon=False)
    figure.suptitle(assessment.title)
    return figure


def _speedups(assessment: Assessment) -> Any:
    from matplotlib.patches import Patch
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    groups = speedup_bars(table(assessment))
    if not groups or not groups[0].bars:
        return None
    figure = new_figure(13, 1.9 + 0.42 * len(groups[0].bars))
    panels = figure.subplots(1, len(groups), sharey=True, sharex=True)
    edges = [1.0]
    for axes, group in zip(panels, groups, strict=True):
        for row, (_, gross, net) in enumerate(group.bars):
            for value, offset, colour in ((gross, -0.2, GROSS_COLOUR), (net, 0.2, NET_COLOUR)):
                if value is None:
                    continue
                # on a log axis a bar starts where nothing is gained
                hatch = None if value.bound == "=" else "////"
                axes.barh(
                    row + offset, value.value - 1, 0.36, left=1, color=colour, hatch=hatch, edgecolor="white", lw=0
                )
                side = 1 if value.value >= 1 else -1
                axes.annotate(
                    format_speedup(value),
                    (value.value, row + offset),
                    (4 * side, 0),
                    textcoords="offset points",
                    ha="left" if side > 0 else "right",
                    va="center",
                    fontsize=8,
                )
                edges.append(value.value)
        axes.axvline(1, color="black", lw=1)
        axes.set(xscale="log", title=group.title, xlabel="speed-up over uniform sampling")
        axes.grid(True, axis="x", which="major", lw=0.4, color="#dddddd")
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panels[0].set_yticks(range(len(groups[0].bars)), [name for name, _, _ in groups[0].bars])
    panels[0].invert_yaxis()
    room = (max(edges) / min(edges)) ** 0.2  # for the numbers beside the bars
    panels[0].xaxis.set_minor_formatter(NullFormatter())
    panels[0].set_xlim(min(edges) / max(room, 1.5), max(edges) * max(room, 1.5))
    patches = [
        Patch(color=GROSS_COLOUR, label="gross"),
        Patch(color=NET_COLOUR, label="net of the cost of curation"),
        Patch(facecolor="#bbbbbb", hatch="////", edgecolor="white", label="at most (some losses never reached)"),
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(assessment.title)
    return figure


def _time_label(assessment: Assessment) -> str:
    epoch = time_axis(assessment).per_epoch
    return "time" if epoch is None else f"training step (an epoch is {epoch:,.3g})"


def _label_log(axis: Any, span: tuple[float, float]) -> None:
    """Plain numbers on an axis that spans little, where powers of ten would leave one or none."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

    if span[1] / span[0] < 1e3:
        ticks = log_ticks(span)
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(FixedFormatter([f"{tick:.4g}" for tick in ticks]))
    axis.set_minor_formatter(NullFormatter())


def _label_colours(bar: Any, limit: float) -> None:
    ticks = [t for t in COLOUR_TICKS if 0.999 / limit <= t <= 1.001 * limit]
    bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks])
    bar.ax.minorticks_off()


PLOTS: dict[str, Callable[[Assessment], Any]] = {
    "loss.png": _losses,
    "weights.png": _weights,
    "spectra.png": _spectra,
    "speedups.png": _speedups,
    "learned.png": _learned,
    "search.png": _search,
}
"""File name and drawing function of every plot."""
