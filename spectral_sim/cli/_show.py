"""The table and the verdict on the terminal."""

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable

from ..report import Assessment, Table, table, verdict_of

__all__ = ["show"]


def show(assessment: Assessment, console: Console) -> None:
    """Print the table, what its numbers mean, and the verdict."""
    numbers = table(assessment)
    width = console.width
    drawn = _draw(numbers, range(len(numbers.header)))
    if Measurement.get(console, console.options, drawn).maximum > width:
        drawn = _draw(numbers, _telling(numbers))
    console.print()
    console.print(drawn)
    text_width = min(width, 110)
    for line in numbers.footer:
        console.print(line, style="dim", width=text_width, highlight=False, markup=False)
    for warning in assessment.warnings:
        console.print(f"warning: {warning}", style="yellow", width=text_width, highlight=False, markup=False)
    console.print()
    console.print(verdict_of(assessment), width=text_width, highlight=False, markup=False)
    console.print()


def _draw(numbers: Table, columns) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(numbers.header[column], justify="left" if column == 0 else "right", no_wrap=column > 0)
    for row, cells in zip(numbers.rows, numbers.cells, strict=True):
        style = "bold" if row.is_uniform else None if row.ok else "red"
        drawn.add_row(*(cells[column].replace("[", r"\[") for column in columns), style=style)
    return drawn


def _telling(numbers: Table) -> list[int]:
    """Columns to keep on a narrow terminal: those that say the same of every schedule go."""
    columns = list(zip(*numbers.cells, strict=True))
    return [n for n, cells in enumerate(columns) if n == 0 or len(set(cells)) > 1]
