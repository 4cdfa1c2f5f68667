"""The page on a mixture fit."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._extras import require
from .._files import write_text
from ..fitting import LearningCurve, MixtureFit, Optimum
from ._html import _controls, _paragraph, page
from ._mixture_figures import curve_figure, distance_figure, fold_figure, optimum_figure, sensitivity_figure

__all__ = ["mixture_html", "write_mixture_report"]


def write_mixture_report(fit: MixtureFit, optimum: Optimum, curve: LearningCurve, path: Path, title: str) -> None:
    """Write the report on a fit and its optimum, replacing the file at once.

    Arguments:
        fit: of the table.
        optimum: what to take.
        curve: error against runs.
        path: HTML file.
        title: of the page.
    """
    write_text(path, mixture_html(fit, optimum, curve, title))


def mixture_html(fit: MixtureFit, optimum: Optimum, curve: LearningCurve, title: str) -> str:
    """Write the page as text: what to take, how far to trust it, and what drives each loss.

    Arguments:
        fit: of the table.
        optimum: what to take.
        curve: error against runs.
        title: of the page.

    Raises:
        ImportError: plotly is not installed.
    """
    plotly = require("plotly.offline", "the report on a mixture fit").get_plotlyjs()
    figures: dict[str, Any] = {}
    parts: list[str] = []

    def add(key: str, heading: str, figure: dict[str, Any], notes: Sequence[str] = (), select: str = "") -> None:
        figures[key] = figure
        controls = _controls(key, figure.get("views", ()), 0, select=True).replace("Schedule <", f"{select} <")
        parts.extend([f"<h3>{heading}</h3>", controls, f'<div id="{key}"></div>'])
        parts.extend(_paragraph(note, "note") for note in notes)

    table = fit.table
    facts = (
        f"{len(table.runs)} runs, {len(fit.domains)} domains, {len(fit.metrics)} losses. {fit.kind.capitalize()} law"
    )
    parts.append(_paragraph(f"{facts}{'' if fit.boost is None else ', with boosted residuals'}.", "note"))
    parts.append(f'<div class="verdict">{"<br>".join(html.escape(line) for line in _verdict(fit, optimum))}</div>')
    parts += [_paragraph(note, "warning") for note in (*fit.notes, *optimum.notes)]
    parts.append("<section><h2>The optimum</h2>")
    notes = [
        "Black lines: from the 5th to the 95th percentile of the optima of laws fitted to parts of the table.",
        *(f"{name} is {where}." for name, where in optimum.limits.items()),
    ]
    add("optimum", "Shares", optimum_figure(fit, optimum), notes)
    parts.append(_loss_table(fit, optimum))
    support = str(optimum.support)
    add(
        "distance",
        "Distance to the runs",
        distance_figure(fit, optimum),
        [f"{support[0].upper()}{support[1:]}. A run is compared with the others."],
    )
    parts.append("</section><section><h2>How far to trust it</h2>")
    parts.append(_score_table(fit))
    parts.append(
        _paragraph(
            "Error: root mean squared error on held-out runs over the standard deviation, mean over losses; 1 is no "
            "better than the mean. Baselines are at their best settings on the same folds.",
            "note",
        )
    )
    add("folds", "Predicted against measured", fold_figure(fit), ["Grey: equality."], select="Loss")
    if len(curve.runs) > 1:
        note = "Error on the runs left out, mean over three draws; the law without boosting. Log axis."
        add("curve", "Error over the number of runs", curve_figure(curve, fit), [note])
    parts.append("</section><section><h2>What drives each loss</h2>")
    note = (
        "Change of the loss of each row for one hundredth of share more of the domain of each column, taken from all "
        "others in proportion, at the mixture compared with, in thousandths. Blue: the loss falls; red: it rises. "
        "Colours end at the 97th percentile."
    )
    add("sensitivity", "Sensitivity of losses to domains", sensitivity_figure(fit, optimum), [note])
    parts.append("</section>")
    return page(title, "\n".join(part for part in parts if part), figures, plotly)


def _verdict(fit: MixtureFit, optimum: Optimum) -> list[str]:
    top = sorted(optimum.as_dict().items(), key=lambda item: -item[1])[:3]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in top)
    gains = [str(gain) for gain in optimum.gains]
    lines = [f"Best mixture: {shares}, and the rest below. Predicted weighted loss {optimum.loss:.4f}."]
    lines += [f"{text[0].upper()}{text[1:]}." for text in gains]
    beside = fit.scores[fit.best_baseline]
    lines.append(
        f"Error on held-out runs {fit.score.error:.3f} (rank correlation {fit.score.spearman:.3f}); best baseline "
        f"{fit.best_baseline}: {beside.error:.3f} ({beside.spearman:.3f})."
    )
    return lines


def _loss_table(fit: MixtureFit, optimum: Optimum) -> str:
    before = fit.predict(optimum.prior)
    rows = [
        [name, f"{value:.4f}", f"{low:.4f} to {high:.4f}", f"{old:.4f}", f"{value - old:+.4f}"]
        for name, value, low, high, old in zip(
            fit.metrics, optimum.losses, optimum.losses_low, optimum.losses_high, before, strict=True
        )
    ]
    level = f"{fit.calibration.level:.0%} interval"
    return _table(["loss", "at the optimum", level, "at the mixture\ncompared with", "change"], rows)


def _score_table(fit: MixtureFit) -> str:
    rows = [[name, f"{score.error:.3f}", f"{score.spearman:.3f}"] for name, score in fit.scores.items()]
    return _table(["predictor", "error", "rank correlation"], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
