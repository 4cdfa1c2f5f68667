"""The interactive report on comparisons of schedules."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

from .._files import write_text
from ..assessment import Assessment, Table, format_short, table
from ._figures import (
    eigenvalue_figure,
    energy_figure,
    learned_figure,
    loss_figure,
    search_figure,
    speedup_figure,
    weight_figure,
)
from ._gain_figures import cost_figure, difference_figure
from ._page import Page
from ._reading import reading
from ._results import verdict_of
from ._style import GROSS_COLOUR, NET_COLOUR

# plotly's own legend would take the hatching of the first bar for that of all
_BAR_LEGEND = (
    f'<small><i style="background:{GROSS_COLOUR}"></i> gross <i style="background:{NET_COLOUR}"></i> net of the '
    "cost of curation</small>"
)


def write_report(assessments: Sequence[Assessment], path: Path, title: str) -> None:
    """Write the report on one or several comparisons, replacing the file at once.

    Arguments:
        assessments: comparisons, one section each.
        path: file to write.
        title: heading of the page.
    """
    write_text(path, report_html(assessments, title))


def report_html(assessments: Sequence[Assessment], title: str) -> str:
    """Write the page as text, plotly.js included once.

    Arguments:
        assessments: the parts of the page, in order.
        title: of the page.

    Raises:
        ImportError: plotly is not installed.
    """
    page = Page("report.html")
    for number, assessment in enumerate(assessments):
        _section(page, assessment, f"s{number}", title)
    page.add(reading(assessments))
    return page.text(title)


def _section(page: Page, assessment: Assessment, name: str, title: str) -> None:
    numbers = table(assessment)
    heading = "Results" if assessment.title == title else assessment.title
    page.add(f'<section><h2 id="{name}">{html.escape(heading)}</h2>')
    first, dot, rest = verdict_of(assessment).partition(". ")
    page.add(f'<div class="verdict"><strong>{html.escape(first + dot)}</strong>{html.escape(rest)}</div>')
    page.notes(*assessment.warnings, kind="warning")

    _main_figures(page, assessment, name, numbers)
    page.add("<h3>All schedules</h3>")
    _table(page, numbers)
    page.notes(*numbers.footer)
    if assessment.examples:
        header = list(assessment.examples[0])
        page.add("<h3>Rows with the most and the least weight</h3>")
        page.table(header, [[row[title] for title in header] for row in assessment.examples])
    rows = "Red: sampled more than uniformly, blue: less; white: as uniformly. Weights are averaged over each row."
    page.figure(f"{name}-weights", "Who gets more weight", weight_figure(assessment), [rows], select="Schedule")
    if assessment.search is not None:
        found = f"Minimised: {assessment.search.objective}. The cost of the search itself is not charged to anything."
        page.figure(f"{name}-search", "Search", search_figure(assessment), [found])
        edge = "Black: up to where residual energy has fallen by a factor e."
        if assessment.is_data:
            edge += " On data, rows are examples by difficulty; there is no ideal schedule to show beside."
        page.figure(f"{name}-learned", "Learned weights", learned_figure(assessment), [edge])
    page.add("<details><summary>More pictures: losses, gains at once and on the way, spectrum</summary>")
    curves = [f"{curve.name}: {curve.note}" for curve in assessment.bounds]
    page.figure(f"{name}-loss", "Loss", loss_figure(assessment), ["Click a name to show or hide it.", *curves])
    bars = "Hatched bars are upper limits: the schedule never reached some of the losses."
    page.figure(f"{name}-speedup", f"Speed-up {_BAR_LEGEND}", speedup_figure(assessment), [bars])
    page.figure(f"{name}-eigenvalues", "Eigenvalues under uniform sampling", eigenvalue_figure(assessment))
    energy = f"After training: at t = {format_short(assessment.times[-1])}."
    heading = f"Residual energy per {assessment.spectrum.entry}, before and after"
    page.figure(f"{name}-energies", heading, energy_figure(assessment), [energy])
    settings = json.dumps(assessment.settings, indent=2, default=str, ensure_ascii=False)
    page.add("</details><details><summary>Data and settings</summary>")
    page.notes(assessment.description)
    page.add(f"<pre>{html.escape(settings)}</pre></details></section>")


def _main_figures(page: Page, assessment: Assessment, name: str, numbers: Table) -> None:
    """What is lost or gained over training, and at what cost."""
    notes = [
        f"{assessment.measure[0].upper()}{assessment.measure[1:]} against that of uniform sampling after the same "
        "compute, costs included: below zero a schedule pays for itself. At most seven are drawn; the others are in "
        "the table and under More pictures."
    ]
    if assessment.splits > 2:
        notes.append("Bands: 90% intervals of the best two and of the one picked, over splits of the data.")
    if any(run.family == "closed loop" for run in assessment.runs):
        density = f"{assessment.refreshes_per_decade:.3g}"
        notes.append(
            f"Zigzags are the rule's own: weights are held between refreshes ({density} per decade of time), and a "
            "rule that follows the loss overshoots until the next one."
        )
    page.figure(f"{name}-difference", "Against uniform sampling", difference_figure(assessment, numbers), notes)
    line = "Right: dearer; up: sooner before costs. Above the line a schedule pays for itself."
    page.figure(f"{name}-cost", "Cost against gain", cost_figure(assessment, numbers), [line])


def _table(page: Page, numbers: Table) -> None:
    header = "".join(
        f'<th title="{html.escape(column.meaning)}">{html.escape(column.title)}</th>' for column in numbers.columns
    )
    lines = []
    for row, cells in zip(numbers.rows, numbers.cells, strict=True):
        kind = "uniform" if row.is_uniform else "failed" if not row.ok else "picked" if row.picked else ""
        first = f'<td title="{html.escape(row.meaning)}">{html.escape(cells[0])}</td>'
        rest = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells[1:])
        opened = f'<tr class="{kind}">' if kind else "<tr>"
        lines.append(f"{opened}{first}{rest}</tr>")
    find = '<div class="controls"><label>Find <input type="search" class="find"></label></div>'
    page.add(
        f'<div class="table">{find}<div class="scroll"><table class="sortable"><thead><tr>{header}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
    page.notes("Click a title to sort by it; point at a title or a name to see what it means.")
    page.add("</div>")
