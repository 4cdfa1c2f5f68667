"""The interactive report: one file that holds everything it shows and opens without a network."""

import html
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from .._extras import require
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
from ._reading import reading
from ._results import environment, verdict_of
from ._style import GROSS_COLOUR, NET_COLOUR

__all__ = ["report_html", "write_report"]

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
    plotly = require("plotly.offline", "report.html").get_plotlyjs()
    figures: dict[str, Any] = {}
    sections = [_section(assessment, f"s{number}", figures, title) for number, assessment in enumerate(assessments)]
    return page(title, "\n".join([*sections, reading(assessments)]), figures, plotly)


def page(title: str, body: str, figures: dict[str, Any], plotly: str) -> str:
    """A page that holds everything it shows: a body with an element for each figure, by its key."""
    versions = environment()
    device = " ".join(dict.fromkeys((versions["platform"], versions["device_kind"])))  # on CPUs both are the same word
    subtitle = f"spectral_sim {versions['spectral_sim']}, jax {versions['jax']}, on {device}. This page works offline."
    values = {
        "title": html.escape(title),
        "subtitle": html.escape(subtitle),
        "body": body,
        "figures": script_json(figures),
        "plotly": plotly,
    }
    template = resources.files(__package__ or "").joinpath("_page.html").read_text(encoding="utf-8")
    parts = template.split("{{")
    out = [parts[0]]
    for part in parts[1:]:  # filled in one pass: what is filled in may hold braces of its own
        name, _, rest = part.partition("}}")
        out += [values[name], rest]
    return "".join(out)


def script_json(value: Any) -> str:
    """A value as JavaScript inside a script element: whatever names hold, no "<" ends or nests the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _section(assessment: Assessment, name: str, figures: dict[str, Any], title: str) -> str:
    numbers = table(assessment)
    heading = "Results" if assessment.title == title else assessment.title
    parts = [
        f'<section><h2 id="{name}">{html.escape(heading)}</h2>',
        _verdict(verdict_of(assessment)),
        *(_paragraph(warning, "warning") for warning in assessment.warnings),
    ]

    def add(kind: str, heading: str, figure: dict[str, Any] | None, notes: Sequence[str], select: bool = False) -> None:
        if figure is None:
            return
        key = f"{name}-{kind}"
        figures[key] = figure
        parts.append(f"<h3>{heading}</h3>")
        parts.append(_controls(key, figure.get("views", ()), figure.get("start", 0), select))
        parts.append(f'<div id="{key}"></div>')
        parts.extend(_paragraph(note, "note") for note in notes)

    _main_figures(assessment, numbers, add)
    parts += ["<h3>All schedules</h3>", _table(numbers), *(_paragraph(line, "note") for line in numbers.footer)]
    parts.append(_examples(assessment))
    rows = "Red: sampled more than uniformly, blue: less; white: as uniformly. Weights are averaged over each row."
    add("weights", "Who gets more weight", weight_figure(assessment), [rows], select=True)
    if assessment.search is not None:
        found = [f"Minimised: {assessment.search.objective}. The cost of the search itself is not charged to anything."]
        add("search", "Search", search_figure(assessment), found)
        edge = "Black: up to where residual energy has fallen by a factor e."
        if assessment.is_data:
            edge += " On data, rows are examples by difficulty; there is no ideal schedule to show beside."
        add("learned", "Learned weights", learned_figure(assessment), [edge])
    parts.append("<details><summary>More pictures: losses, gains at once and on the way, spectrum</summary>")
    curves = [f"{curve.name}: {curve.note}" for curve in assessment.bounds]
    add("loss", "Loss", loss_figure(assessment), ["Click a name to show or hide it.", *curves])
    bars = "Hatched bars are upper limits: the schedule never reached some of the losses."
    add("speedup", f"Speed-up {_BAR_LEGEND}", speedup_figure(assessment), [bars])
    add("eigenvalues", "Eigenvalues under uniform sampling", eigenvalue_figure(assessment), [])
    energy = f"After training: at t = {format_short(assessment.times[-1])}."
    heading = f"Residual energy per {assessment.spectrum.entry}, before and after"
    add("energies", heading, energy_figure(assessment), [energy])
    settings = json.dumps(assessment.settings, indent=2, default=str, ensure_ascii=False)
    parts.append("</details><details><summary>Data and settings</summary>")
    parts.append(_paragraph(assessment.description, "note"))
    parts.append(f"<pre>{html.escape(settings)}</pre></details></section>")
    return "\n".join(part for part in parts if part)


def _verdict(text: str) -> str:
    """The verdict, its first sentence in bold."""
    first, dot, rest = text.partition(". ")
    return f'<div class="verdict"><strong>{html.escape(first + dot)}</strong>{html.escape(rest)}</div>'


def _main_figures(assessment: Assessment, numbers: Table, add: Callable[..., None]) -> None:
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
    add("difference", "Against uniform sampling", difference_figure(assessment, numbers), notes)
    line = "Right: dearer; up: sooner before costs. Above the line a schedule pays for itself."
    add("cost", "Cost against gain", cost_figure(assessment, numbers), [line])


def _examples(assessment: Assessment) -> str:
    """Rows of the user's data that get the most and the least weight."""
    if not assessment.examples:
        return ""
    header = list(assessment.examples[0])
    head = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(row[title]))}</td>" for title in header) + "</tr>"
        for row in assessment.examples
    )
    return (
        "<h3>Rows with the most and the least weight</h3>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _controls(key: str, views: Sequence[dict[str, Any]], start: int, select: bool) -> str:
    if len(views) < 2:
        return ""
    if select:
        chosen = [" selected" if n == start else "" for n in range(len(views))]
        names = [html.escape(view["name"]) for view in views]
        choices = "".join(f"<option{mark}>{name}</option>" for mark, name in zip(chosen, names, strict=True))
        return f'<div class="controls"><label>Schedule <select data-figure="{key}">{choices}</select></label></div>'
    buttons = []
    for n, view in enumerate(views):
        pressed = "true" if n == start else "false"
        name = html.escape(view["name"])
        buttons.append(f'<button data-figure="{key}" data-view="{n}" aria-pressed="{pressed}">{name}</button>')
    return f'<div class="controls">{"".join(buttons)}</div>'


def _table(numbers: Table) -> str:
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
    hint = _paragraph("Click a title to sort by it; point at a title or a name to see what it means.", "note")
    body = "".join(lines)
    return (
        f'<div class="table">{find}<div class="scroll"><table class="sortable"><thead><tr>{header}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{hint}</div>"
    )


def _paragraph(text: str, kind: str) -> str:
    return f'<p class="{kind}">{html.escape(text)}</p>' if text else ""
