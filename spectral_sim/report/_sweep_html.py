"""The interactive report on the table of a sweep."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np

from .._extras import require
from .._files import write_text
from ..assessment import findings
from ..sweeps import as_grid
from ._html import _controls, _paragraph, page
from ._sweep_figures import phase_figure, slice_figure, time_figure

__all__ = ["sweep_html", "write_sweep_report"]

_BEST = 5
_OBJECTIVES = {
    "final_loss": "lowest",
    "speedup": "highest",
    "speedup_net": "highest",
    "gain_kept": "highest",
    "exponent": "highest",
}
_SHOWN = ("exponent", "crossover", "gain_kept", "speedup", "speedup_net", "over_ideal", "final_loss", "max_weight")
_TITLES = {"speedup": "speed-up, gross", "speedup_net": "speed-up, net"}


def write_sweep_report(table: Any, path: Path) -> None:
    """Write the report on a table, replacing the file at once.

    Arguments:
        table: what `sweep` or `open_table` returns.
        path: HTML file.
    """
    write_text(path, sweep_html(table))


def sweep_html(table: Any) -> str:
    """The page as text: what theory says, the best rows, phase diagrams and slices of every number.

    Arguments:
        table: what `sweep` or `open_table` returned.

    Raises:
        ImportError: plotly is not installed.
    """
    plotly = require("plotly.offline", "the report on a sweep").get_plotlyjs()
    title = table.attrs.get("title") or "Sweep"
    status = np.asarray(table["status"])
    missing, failed = int(np.sum(status < 0)), int(np.sum(status > 0))
    parts = [_paragraph(table.attrs.get("description", ""), "note")]
    counts = f"{status.size:,} rows over {', '.join(p for b in json.loads(table.attrs['blocks']) for p in b['paths'])}."
    density = (
        f"{table.attrs['refreshes_per_decade']:.3g} refreshes per decade, up to t = {table.attrs['last_time']:.4g}."
    )
    parts.append(_paragraph(f"{counts} {density} {failed:,} failed.", "note"))
    if missing:
        parts.append(_paragraph(f"{missing:,} rows are not there yet: run the sweep again to finish it.", "warning"))
    for finding in findings(table) if not missing else []:
        mark = "Holds" if finding.holds else "Does not hold"
        parts.append(_paragraph(f"{mark}: {finding.text}", "verdict" if finding.holds else "warning"))
    parts += ["<section><h2>Best rows</h2>", _best_rows(table, status), *_gross_and_net(table), "</section>"]
    figures: dict[str, Any] = {}
    if table.attrs["kind"] == "grid":
        parts += _grid_sections(as_grid(table), figures)
    else:
        parts += _drawn_sections(table, figures)
    return page(title, "\n".join(part for part in parts if part), figures, plotly)


def _grid_sections(table: Any, figures: dict[str, Any]) -> list[str]:
    axes = tuple(name for name in table.status.dims if table.sizes[name] > 1)
    table = table.isel({name: 0 for name in table.status.dims if name not in axes})
    good = table.status == 0
    parts = []

    def add(key: str, heading: str, figure: dict[str, Any] | None, note: str = "") -> None:
        if figure is None:
            return
        figures[key] = figure
        controls = _controls(key, figure["views"], 0, select=True).replace("Schedule <", "Where <")
        parts.append(
            f"<h3>{html.escape(heading)}</h3>{controls}" + f'<div id="{key}"></div>' + _paragraph(note, "note")
        )

    note = "Colour: -d log L / d log t."
    if "crossover" in table:
        note += " Orange: where the fitted power laws meet."
    add("time", "Local exponent over time", time_figure(table, axes), note)
    for name in _SHOWN:
        if name not in table or not axes:
            continue
        values = table[name].where(good)
        if not np.isfinite(values).any():
            continue
        label = table[name].attrs.get("long_name", name)
        parts.append(f"<section><h2>{html.escape(_title(name))}</h2>{_paragraph(label, 'note')}")
        if name == "speedup_net" and "speedup" in table and bool((values == table["speedup"]).where(good, True).all()):
            parts.append(_paragraph("The same as gross: nothing is charged for curating.", "note") + "</section>")
            continue
        add(
            f"{name}-phase",
            "Phase diagram",
            phase_figure(values, axes),
            "Failed rows are left white.",
        )
        add(f"{name}-slices", "Slices", slice_figure(values, axes, _title(name)))
        parts.append("</section>")
    return parts


def _drawn_sections(table: Any, figures: dict[str, Any]) -> list[str]:
    """Drawn rows lie on no grid: parallel coordinates, coloured by the objective."""
    name = next((name for name in _OBJECTIVES if name in table), None)
    if name is None:
        return []
    paths = [path for block in json.loads(table.attrs["blocks"]) for path in block["paths"]]
    rows = np.flatnonzero(np.asarray(table.status) == 0)
    rows = rows[np.linspace(0, rows.size - 1, min(rows.size, 2000)).round().astype(int)] if rows.size else rows
    axes = []
    for column in [*paths, *(n for n in _SHOWN if n in table)]:
        values = np.asarray(table[column], np.float64)[rows]
        positive = values.size > 0 and values.min() > 0 and values.max() / values.min() > 30
        label = f"log10 {_title(column)}" if positive else _title(column)
        axes.append(
            {"label": html.escape(label), "values": [float(v) for v in (np.log10(values) if positive else values)]}
        )
    target = np.asarray(table[name], np.float64)[rows]
    figures["parallel"] = {
        "data": [
            {
                "type": "parcoords",
                "line": {"color": [float(v) for v in np.log10(target)], "colorscale": "Viridis", "showscale": True},
                "dimensions": axes,
            }
        ],
        "layout": {"height": 480, "margin": {"l": 80, "r": 80, "t": 60, "b": 30}},
        "views": [],
    }
    note = f"Colour: log10 of {name}. Drag along an axis to keep a part of the rows."
    return [f'<section><h2>Parallel coordinates</h2><div id="parallel"></div>{_paragraph(note, "note")}</section>']


def _gross_and_net(table: Any) -> list[str]:
    """What either kind of speed-up counts, for a table with one of them."""
    if not any(name in table for name in _TITLES):
        return []
    said = {name: table[name].attrs["long_name"] if name in table else "not kept" for name in _TITLES}
    both = "; ".join(f"{_title(name)}: {words}" for name, words in said.items())
    text = f"{both}. ≤: some losses of uniform sampling were never reached."
    return [_paragraph(text[0].upper() + text[1:], "note")]


def _title(name: str) -> str:
    return _TITLES.get(name, name)


def _best_rows(table: Any, status: np.ndarray) -> str:
    paths = [path for block in json.loads(table.attrs["blocks"]) for path in block["paths"]]
    numbers = [name for name in _SHOWN if name in table]
    columns = {name: np.asarray(table[name], np.float64) for name in (*paths, *numbers)}
    bounds = {name: np.asarray(table[f"{name}_bound"]) for name in numbers if f"{name}_bound" in table}
    header = ["best by", *paths, *map(_title, numbers)]
    lines = []
    for name, which in _OBJECTIVES.items():
        if name not in columns:
            continue
        known = np.isfinite(columns[name]) & (bounds.get(name, np.zeros(status.shape)) >= 0)  # a bound is no best
        usable = np.flatnonzero((status == 0) & known)
        key = columns[name][usable] * (1 if which == "lowest" else -1)
        for rank, row in enumerate(usable[np.argsort(key, kind="stable")[:_BEST]]):
            first = f"{which} {_title(name)}" if rank == 0 else ""
            signs = ("≤" if c in bounds and bounds[c][row] < 0 else "" for c in columns)
            lines.append([first, *(f"{sign}{columns[c][row]:.4g}" for sign, c in zip(signs, columns, strict=True))])
    if not lines:
        return _paragraph("No row succeeded.", "warning")
    head = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
