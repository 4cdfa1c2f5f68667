"""The page on a mixture fit."""

import html
from pathlib import Path

from .._files import write_text
from ..fitting import LearningCurve, MixtureFit, Optimum
from ._mixture_figures import curve_figure, distance_figure, fold_figure, optimum_figure, sensitivity_figure
from ._page import Page


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
    page = Page("the report on a mixture fit")
    table, boosted = fit.table, "" if fit.boost is None else ", with boosted residuals"
    page.notes(
        f"{len(table.runs)} runs, {len(fit.domains)} domains, {len(fit.metrics)} losses. "
        f"{fit.kind.capitalize()} law{boosted}."
    )
    page.add(f'<div class="verdict">{"<br>".join(html.escape(line) for line in _verdict(fit, optimum))}</div>')
    page.notes(*fit.notes, *optimum.notes, kind="warning")
    page.add("<section><h2>The optimum</h2>")
    notes = [
        "Black lines: from the 5th to the 95th percentile of the optima of laws fitted to parts of the table.",
        *(f"{name} is {where}." for name, where in optimum.limits.items()),
    ]
    page.figure("optimum", "Shares", optimum_figure(fit, optimum), notes)
    _loss_table(page, fit, optimum)
    support = str(optimum.support)
    note = f"{support[0].upper()}{support[1:]}. A run is compared with the others."
    page.figure("distance", "Distance to the runs", distance_figure(fit, optimum), [note])
    page.add("</section><section><h2>How far to trust it</h2>")
    rows = [[name, f"{score.error:.3f}", f"{score.spearman:.3f}"] for name, score in fit.scores.items()]
    page.table(["predictor", "error", "rank correlation"], rows)
    page.notes(
        "Error: root mean squared error on held-out runs over the standard deviation, mean over losses; 1 is no "
        "better than the mean. Baselines are at their best settings on the same folds."
    )
    page.figure("folds", "Predicted against measured", fold_figure(fit), ["Grey: equality."], select="Loss")
    if len(curve.runs) > 1:
        note = "Error on the runs left out, mean over three draws; the law without boosting. Log axis."
        page.figure("curve", "Error over the number of runs", curve_figure(curve, fit), [note])
    page.add("</section><section><h2>What drives each loss</h2>")
    note = (
        "Change of the loss of each row for one hundredth of share more of the domain of each column, taken from all "
        "others in proportion, at the mixture compared with, in thousandths. Blue: the loss falls; red: it rises. "
        "Colours end at the 97th percentile."
    )
    page.figure("sensitivity", "Sensitivity of losses to domains", sensitivity_figure(fit, optimum), [note])
    page.add("</section>")
    return page.text(title)


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


def _loss_table(page: Page, fit: MixtureFit, optimum: Optimum) -> None:
    before = fit.predict(optimum.prior)
    columns = fit.metrics, optimum.losses, optimum.losses_low, optimum.losses_high, before
    rows = [
        [name, f"{value:.4f}", f"{low:.4f} to {high:.4f}", f"{old:.4f}", f"{value - old:+.4f}"]
        for name, value, low, high, old in zip(*columns, strict=True)
    ]
    level = f"{fit.calibration.level:.0%} interval"
    page.table(["loss", "at the optimum", level, "at the mixture\ncompared with", "change"], rows)
