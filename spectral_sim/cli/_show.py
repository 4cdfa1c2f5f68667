"""The table and the verdict on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from ..assessment import Assessment, Table, format_speedup, table
from ..report import verdict_of

_TEXT_WIDTH = 110
_GAP = 3  # between columns


def show(assessment: Assessment, console: Console) -> None:
    """Print the table, what its numbers mean, and the verdict."""
    numbers = table(assessment)
    kept = _columns(numbers, console.width)
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for n in kept:
        drawn.add_column(numbers.header[n], justify="left" if n == 0 else "right", no_wrap=n > 0, overflow="fold")
    for row, cells in zip(numbers.rows, numbers.cells, strict=True):
        style = "bold" if row.is_uniform else None if row.ok else "red"
        drawn.add_row(*(cells[n] for n in kept), style=style)
    width = min(console.width, _TEXT_WIDTH)
    console.print()
    console.print(drawn)
    left_out = [_one_line(numbers.header[n]) for n in range(len(numbers.header)) if n not in kept]
    notes = [f"Left out for want of room (see report.html): {', '.join(left_out)}."] if left_out else []
    for line in [*numbers.footer, *notes]:
        console.print(line, style="dim", width=width)
    for warning in assessment.warnings:
        console.print(f"warning: {warning}", style="yellow", width=width)
    console.print()
    console.print(verdict_of(assessment), width=width)
    console.print()


def first_row(assessment: Assessment) -> str:
    """One line on what the first runs have shown, long before all is known."""
    numbers = table(assessment)
    known = [row for row in numbers.rows if row.gains.horizon_net is not None and not row.is_uniform]
    if not known:
        return f"  first: uniform sampling ends at {numbers.measure} {numbers.rows[0].final_loss:.4g}"
    best = known[0]
    of = f", one split of {assessment.planned_splits}" if assessment.planned_splits > 1 else ""
    return f"  first: {best.name} gains {format_speedup(best.gains.horizon_net)} net{of}; nothing is sure yet"


def _columns(numbers: Table, width: int) -> list[int]:
    """The columns that fit; that of the names always, and that of the status where a schedule failed."""
    columns = list(zip(*numbers.cells, strict=True))
    kept = list(range(len(columns)))
    spare = sorted((n for n in kept if numbers.columns[n].spare), key=lambda n: -numbers.columns[n].spare)
    for n in spare:
        if sum(_width(numbers.header[k], columns[k]) + _GAP for k in kept) <= width:
            break
        kept.remove(n)
    return kept


def _width(title: str, cells: tuple[str, ...]) -> int:
    return max(len(text) for text in (*title.split("\n"), *cells))


def _one_line(title: str) -> str:
    return " ".join(title.split())
