"""Tables of mixtures in CSV files: shares and losses in two files with a shared column, or in one wide file."""

from pathlib import Path

import numpy as np

from ._csv import read_csv
from ._mixture_table import NamedTable, is_number

_STEPS = ("step", "steps")


def read_mixtures(
    ratios: Path, losses: Path | None = None, *, shares_prefix: str = "r_", losses_prefix: str = "L_"
) -> tuple[NamedTable, NamedTable, tuple[str, ...]]:
    """Shares and losses, for `fit_mixture`, and notes on what was left out.

    Two files are joined on the first column that both have. A column `step` of the losses is a clock: the last step of
    each run is taken, which must be the same in all.

    Arguments:
        ratios: file of shares; or one wide file of both, whose columns start with the prefixes.
        losses: file of losses, or None for one wide file.
        shares_prefix: start of the names of shares in a wide file; taken off.
        losses_prefix: start of the names of losses in a wide file; taken off.

    Raises:
        ValueError: names file, row and column of the first thing that is wrong.
        FileNotFoundError: a file is missing.
    """
    header, rows = _read(ratios)
    if losses is None:
        shares = [n for n, name in enumerate(header) if name.startswith(shares_prefix)]
        values = [n for n, name in enumerate(header) if name.startswith(losses_prefix)]
        if not shares or not values:
            kind, prefix = ("shares", shares_prefix) if not shares else ("losses", losses_prefix)
            raise ValueError(
                f"{ratios.name} has no column of {kind}, none starts with {prefix!r}: give two files, or the prefixes "
                "of one wide file."
            )
        others = [n for n in range(len(header)) if n not in shares and n not in values]
        key = header[others[0]] if others else None
        runs = [row[others[0]] if others else str(n) for n, row in enumerate(rows)]
        _no_twins(ratios, runs)
        parts = [
            NamedTable(_numbers(ratios, header, rows, columns), [header[n].removeprefix(prefix) for n in columns], runs)
            for columns, prefix in ((shares, shares_prefix), (values, losses_prefix))
        ]
        return parts[0], parts[1], () if key is None else (f"Runs are named by the column {key!r}.",)
    other_header, other_rows = _read(losses)
    key = next((name for name in header if name in other_header), None)
    if key is None:
        raise ValueError(
            f"{ratios.name} and {losses.name} share no column: give both one with the names of runs, such as 'run'."
        )
    notes = [f"The files were joined on the column {key!r}."]
    clock = next((name for name in other_header if name.lower() in _STEPS and name != key), None)
    if clock is not None:
        other_rows, note = _last_steps(losses, other_header, other_rows, key, clock)
        notes.append(note)
    tables = []
    for path, names, lines in ((ratios, header, rows), (losses, other_header, other_rows)):
        place = names.index(key)
        runs = [row[place] for row in lines]
        _no_twins(path, runs)
        columns = [n for n in range(len(names)) if n != place and names[n] != clock]
        tables.append(NamedTable(_numbers(path, names, lines, columns), [names[n] for n in columns], runs))
    return tables[0], tables[1], tuple(notes)


def read_by_name(path: Path) -> dict[str, float]:
    """Numbers by name: a file of two columns, name and number, or of one row of numbers under names.

    Arguments:
        path: of the file.
    """
    header, rows = _read(path)
    if len(header) == 2 and not is_number(rows[0][0]):
        pairs = [*([header] if is_number(header[1]) else []), *rows]
        names = [row[0] for row in pairs]
        _no_twins(path, names)
        return dict(zip(names, _numbers(path, ["name", "number"], pairs, [1])[:, 0].tolist(), strict=True))
    if len(rows) != 1:
        raise ValueError(f"{path.name} has {len(rows)} rows of {len(header)} columns: give a name and a number a row.")
    return dict(zip(header, _numbers(path, header, rows, range(len(header)))[0].tolist(), strict=True))


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    header, rows = read_csv(path)
    if not rows:
        raise ValueError(f"{path.name} has {len(header[:1])} lines: give a header and at least one row.")
    return header, rows


def _numbers(path: Path, header, rows: list[list[str]], columns) -> np.ndarray:
    out = np.empty((len(rows), len(columns)))
    for n, row in enumerate(rows):
        for place, column in enumerate(columns):
            try:
                out[n, place] = float(row[column])
            except ValueError:
                what = "is empty" if not row[column] else f"holds {row[column]!r}"
                raise ValueError(f"{path.name}, row {n}, column {header[column]!r} {what}: give a number.") from None
    return out


def _last_steps(path: Path, header, rows, key: str, clock: str) -> tuple[list[list[str]], str]:
    """The row of each run with its last step."""
    place, when = header.index(key), header.index(clock)
    for n, row in enumerate(rows):
        if not is_number(row[when]):
            raise ValueError(f"{path.name}, row {n}, column {clock!r} holds {row[when]!r}: give steps as numbers.")
    last: dict[str, list[str]] = {}
    for row in rows:
        if row[place] not in last or float(row[when]) > float(last[row[place]][when]):
            last[row[place]] = row
    steps = {run: float(row[when]) for run, row in last.items()}
    final = max(steps.values())
    for run, step in steps.items():
        if step != final:
            raise ValueError(
                f"{path.name}: run {run!r} ends at {clock} {step:g}, others at {final:g}: give all runs one length; "
                "losses are not extrapolated in time."
            )
    return list(last.values()), f"Losses are those at {clock} {final:g}, the last of each run."


def _no_twins(path: Path, runs: list[str]) -> None:
    seen: dict[str, int] = {}
    for n, run in enumerate(runs):
        if run in seen:
            raise ValueError(f"{path.name}: {run!r} is there twice, in rows {seen[run]} and {n}: keep one of them.")
        seen[run] = n
