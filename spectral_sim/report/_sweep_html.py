"""The interactive report on the table of a sweep."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np

from .._files import write_text
from ..assessment import findings
from ..sweeps import as_grid
from ._page import Page
from ._sweep_figures import is_log, phase_figure, slice_figure, time_figure

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
    page = Page("the report on a sweep")
    status = np.asarray(table["status"])
    missing, failed = int(np.sum(status < 0)), int(np.sum(status > 0))
    page.notes(
        table.attrs.get("description", ""),
        f"{status.size:,} rows over {', '.join(_paths(table))}. {table.attrs['refreshes_per_decade']:.3g} refreshes "
        f"per decade, up to t = {table.attrs['last_time']:.4g}. {failed:,} failed.",
    )
    if missing:
        page.notes(f"{missing:,} rows are not there yet: run the sweep again to finish it.", kind="warning")
    for finding in findings(table) if not missing else []:
        mark, kind = ("Holds", "verdict") if finding.holds else ("Does not hold", "warning")
        page.notes(f"{mark}: {finding.text}", kind=kind)
    page.add("<section><h2>Best rows</h2>")
    header, best = _best_rows(table, status)
    if best:
        page.table(header, best)
    else:
        page.notes("No row succeeded.", kind="warning")
    page.notes(_gross_and_net(table))
    page.add("</section>")
    if table.attrs["kind"] == "grid":
        _grid_sections(page, as_grid(table))
    else:
        _drawn_section(page, table)
    return page.text(table.attrs.get("title") or "Sweep")


def _paths(table: Any) -> list[str]:
    return [path for block in json.loads(table.attrs["blocks"]) for path in block["paths"]]


def _grid_sections(page: Page, table: Any) -> None:
    axes = tuple(name for name in table.status.dims if table.sizes[name] > 1)
    table = table.isel({name: 0 for name in table.status.dims if name not in axes})
    good = table.status == 0
    note = "Colour: -d log L / d log t."
    if "crossover" in table:
        note += " Orange: where the fitted power laws meet."
    page.figure("time", "Local exponent over time", time_figure(table, axes), [note], select="Where")
    for name in _SHOWN:
        if name not in table or not axes:
            continue
        values = table[name].where(good)
        if not np.isfinite(values).any():
            continue
        page.add(f"<section><h2>{html.escape(_title(name))}</h2>")
        page.notes(table[name].attrs.get("long_name", name))
        if name == "speedup_net" and "speedup" in table and bool((values == table["speedup"]).where(good, True).all()):
            page.notes("The same as gross: nothing is charged for curating.")
        else:
            white = ["Failed rows are left white."]
            page.figure(f"{name}-phase", "Phase diagram", phase_figure(values, axes), white, select="Where")
            page.figure(f"{name}-slices", "Slices", slice_figure(values, axes, _title(name)), select="Where")
        page.add("</section>")


def _drawn_section(page: Page, table: Any) -> None:
    """Drawn rows lie on no grid: parallel coordinates, coloured by the objective."""
    name = next((name for name in _OBJECTIVES if name in table), None)
    if name is None:
        return
    rows = np.flatnonzero(np.asarray(table.status) == 0)
    rows = rows[np.linspace(0, rows.size - 1, min(rows.size, 2000)).round().astype(int)] if rows.size else rows
    axes = []
    for column in [*_paths(table), *(n for n in _SHOWN if n in table)]:
        values = np.asarray(table[column], np.float64)[rows]
        label, shown = (f"log10 {_title(column)}", np.log10(values)) if is_log(values) else (_title(column), values)
        axes.append({"label": html.escape(label), "values": shown.tolist()})
    target = np.log10(np.asarray(table[name], np.float64)[rows]).tolist()
    colours = {"color": target, "colorscale": "Viridis", "showscale": True}
    figure = {
        "data": [{"type": "parcoords", "line": colours, "dimensions": axes}],
        "layout": {"height": 480, "margin": {"l": 80, "r": 80, "t": 60, "b": 30}},
    }
    note = f"Colour: log10 of {name}. Drag along an axis to keep a part of the rows."
    page.add("<section><h2>Parallel coordinates</h2>")
    page.figure("parallel", "", figure, [note])
    page.add("</section>")


def _gross_and_net(table: Any) -> str:
    """What either kind of speed-up counts, for a table with one of them."""
    if not any(name in table for name in _TITLES):
        return ""
    said = {name: table[name].attrs["long_name"] if name in table else "not kept" for name in _TITLES}
    both = "; ".join(f"{_title(name)}: {words}" for name, words in said.items())
    text = f"{both}. ≤: some losses of uniform sampling were never reached."
    return text[0].upper() + text[1:]


def _title(name: str) -> str:
    return _TITLES.get(name, name)


def _best_rows(table: Any, status: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """Column titles, and the first rows by each objective."""
    paths = _paths(table)
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
    return header, lines
