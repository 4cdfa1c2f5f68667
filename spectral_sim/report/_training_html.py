"""Predicted and real training of a network side by side: a page that works offline, and a plot."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from .._files import write_text
from ..fitting import TrainingComparison
from ._page import Page
from ._plotly import linear_layout, log_axis, padded, rounded, scatter
from ._style import BOUND_COLOUR, PALETTE, new_figure

_CHANGES = "predicted log change of the loss", "real log change of the loss"  # against uniform training
_COLUMNS = {
    "real_loss": "real loss",
    "real_spread": "spread over seeds (log)",
    "predicted_loss": "predicted loss",
    "real_gain": "real log change",
    "predicted_gain": "predicted log change",
    "real_speedup": "real speed-up",
    "predicted_speedup": "predicted speed-up",
}


def write_training_report(comparison: TrainingComparison, path: str | os.PathLike[str], title: str) -> None:
    """Write the page on a comparison, replacing the file at once.

    Arguments:
        comparison: of predicted and real training.
        path: HTML file.
        title: of the page.
    """
    write_text(Path(path), training_html(comparison, title))


def training_html(comparison: TrainingComparison, title: str) -> str:
    """Write the page as text: curves with the prediction dashed over real training, gains, scores beside their ceiling.

    Arguments:
        comparison: of predicted and real training.
        title: of the page.

    Raises:
        ImportError: plotly is not installed.
    """
    page = Page("the page on real training")
    seeds = comparison.real.loss.shape[0]
    page.notes(f"{len(comparison.names)} schedules, {seeds} real runs of each. {_doubts(comparison)}")
    page.add(f"<section><h2>{comparison.measure.capitalize()}: real and predicted</h2>")
    note = "Solid: real, geometric mean over seeds. Dashed: predicted by the kernel."
    page.figure("curves", "", _curve_figure(comparison), [note])
    page.add("</section><section><h2>Change of the loss against uniform training</h2>")
    note = (
        "Log of the last loss over that of uniform training: below zero a schedule is better. On the line the "
        "prediction is right."
    )
    page.figure("gains", "", _gain_figure(comparison), [note])
    rows = [[row["schedule"], *(f"{row[key]:.3g}" for key in _COLUMNS)] for row in comparison.table()]
    page.table(["schedule", *_COLUMNS.values()], rows)
    page.add("</section><section><h2>How well it predicts</h2>")
    page.table(["", "prediction against real", "another real seed"], comparison.spoken())
    page.add("</section>")
    return page.text(title)


def draw_training(comparison: TrainingComparison) -> Any:
    """A matplotlib figure: curves with the prediction dashed over real training, and gains.

    Arguments:
        comparison: of training with its prediction.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(11.5, 5.2)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    steps = comparison.steps
    marks = _marks(comparison)
    for name, colour, real, told in _curves(comparison):
        width = 2.4 if name == comparison.baseline else 1.5
        mark = {"marker": "s", "markevery": 0.12, "ms": 4} if marks[name] == "square" else {}
        left.plot(steps[1:], real[1:], color=colour, lw=width, label=name, **mark)
        left.plot(steps[1:], told[1:], color=colour, lw=width, ls=(0, (4, 2)))
    left.set(xscale="log", yscale="log", xlabel="step", ylabel=comparison.measure)
    left.set_title("solid: real, dashed: predicted", fontsize=10)
    rows = {row["schedule"]: row for row in comparison.table()}
    for name, colour, _, _ in _curves(comparison):
        right.plot(
            rows[name]["predicted_gain"],
            rows[name]["real_gain"],
            "s" if marks[name] == "square" else "o",
            color=colour,
            ms=7,
        )
    low, high = _span(comparison)
    right.plot([low, high], [low, high], color=BOUND_COLOUR, lw=1)
    right.set(xlabel=_CHANGES[0], ylabel=_CHANGES[1])
    right.set_title(f"tau {comparison.tau:.2f}, another seed {comparison.ceiling.tau:.2f}", fontsize=10)
    for axes in (left, right):
        axes.grid(True, which="major", lw=0.4, color="#dddddd")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def _curves(comparison: TrainingComparison) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """Name, colour, real and predicted loss of every schedule; uniform training is black."""
    real = np.exp(np.mean(np.log(np.asarray(comparison.real.loss, np.float64)), axis=0))
    told = np.asarray(comparison.predicted.loss, np.float64)
    found, number = [], 0
    for n, name in enumerate(comparison.names):
        if name == comparison.baseline:
            colour = "#000000"
        else:
            colour = PALETTE[number % len(PALETTE)]
            number += 1
        found.append((name, colour, real[n], told[n]))
    return found


def _marks(comparison: TrainingComparison) -> dict[str, str]:
    """What tells schedules apart once colours come round again, as plotly calls it."""
    others = [name for name in comparison.names if name != comparison.baseline]
    marks = {name: "circle" if n < len(PALETTE) else "square" for n, name in enumerate(others)}
    return {comparison.baseline: "circle", **marks}


def _curve_figure(comparison: TrainingComparison) -> dict[str, Any]:
    data, marks, steps = [], _marks(comparison), comparison.steps[1:]
    for name, colour, real, told in _curves(comparison):
        look = {"color": colour, "width": 2.5 if name == comparison.baseline else 1.7}
        mode = "lines+markers" if marks[name] == "square" else "lines"
        shown = {"marker": {"symbol": "square", "size": 5}, "legendgroup": name}
        dashed = {"line": {**look, "dash": "dash"}, "showlegend": False}
        data += [
            scatter(mode, name, steps, real[1:], line=look, **shown),
            scatter(mode, f"{name}, predicted", steps, told[1:], **dashed, **shown),
        ]
    ticks = {"type": "log", **log_axis(padded(steps))}
    return {"data": data, "layout": linear_layout(520, "step", comparison.measure, xaxis=ticks, yaxis={"type": "log"})}


def _gain_figure(comparison: TrainingComparison) -> dict[str, Any]:
    rows, marks = {row["schedule"]: row for row in comparison.table()}, _marks(comparison)
    data = []
    for name, colour, _, _ in _curves(comparison):
        row, marker = rows[name], {"color": colour, "size": 10, "symbol": marks[name]}
        spread = {"type": "data", "array": [row["real_spread"]]}
        place = [row["predicted_gain"]], [row["real_gain"]]
        data.append(scatter("markers", name, *place, error_y=spread, marker=marker))
    ends, grey = _span(comparison), {"color": BOUND_COLOUR, "width": 1}
    data.append(scatter("lines", "", ends, ends, line=grey, hoverinfo="skip", showlegend=False))
    return {"data": data, "layout": linear_layout(460, *_CHANGES)}


def _span(comparison: TrainingComparison) -> list[float]:
    """Ends of the diagonal."""
    gains = [row[kind] for row in comparison.table() for kind in ("real_gain", "predicted_gain")]
    room = 0.1 * (max(gains) - min(gains)) + 0.01
    return rounded([min(gains) - room, max(gains) + room], 6)


def _doubts(comparison: TrainingComparison) -> str:
    doubts = comparison.doubts
    steps = "adaptive steps" if doubts.adaptive else "steps in proportion to gradients"
    return (
        f"Trust {comparison.trust:.2f} of 1, a rule of thumb: the kernel drifts by {doubts.drift:.2g}, real training "
        f"runs {doubts.clock:.2f} times as fast as the prediction, its training loss falls by {doubts.depth:.1f} "
        f"e-folds, {steps}."
    )
