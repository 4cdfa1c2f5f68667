"""Tables of text with a header."""

import csv
from pathlib import Path


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV or TSV file, without blank lines, and without blanks around entries.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a row of another length than the header, or two columns of one name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file: check the name.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        entries = [[entry.strip() for entry in line] for line in lines]
    header, *rows = [line for line in entries if any(line)] or [[]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(
                f"{path.name}, line {number} has {len(row)} entries, the header {len(header)}: align them."
            )
    for name in header:
        if header.count(name) > 1:
            raise ValueError(f"{path.name} has two columns {name!r}: rename or drop one.")
    return header, rows
