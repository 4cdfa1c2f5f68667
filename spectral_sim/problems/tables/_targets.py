"""From target columns to numbers or classes; what was guessed is said, and doubtful guesses are warned of."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..._wording import option
from ._column import Column

MAX_GUESSED = 20  # most values of a whole-number target that are taken for classes
MAX_CLASSES = 50  # most classes that need no word of the user's
_MAX_BYTES = 2**31  # of one-hot targets


@dataclass(frozen=True, eq=False)
class Targets:
    """What is to be predicted.

    Arguments:
        task: "classification" or "regression".
        names: name of each output.
        values: numbers, shape (rows, outputs), NaN where missing; for classes the class number, shape (rows, 1).
    """

    task: Literal["classification", "regression"]
    names: tuple[str, ...]
    values: np.ndarray

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Numbers of some rows, shape (rows, outputs); classes as one-hot."""
        chosen = self.values[rows]
        return chosen if self.task == "regression" else np.eye(len(self.names))[chosen[:, 0].astype(int)]


def read_targets(
    columns: list[Column],
    task: Literal["auto", "regression", "classification"],
    rows: np.ndarray,
    notes: list[str],
    warnings: list[str],
) -> Targets:
    """Numbers or classes from the target columns.

    Arguments:
        columns: the targets.
        task: what the user says they are.
        rows: which rows count, a mask.
        notes: the guess is added here.
        warnings: what a careful colleague would ask about is added here.

    Raises:
        ValueError: targets that cannot be what they are said to be, that never vary, or that have too many classes.
    """
    if len(columns) > 1 or columns[0].kind == "block":
        return _several(columns, task, rows, warnings)
    column = columns[0]
    is_text = column.kind == "text"
    if is_text and task == "regression":
        where = int(np.argmax(column.values >= 0)) if column.stray is None else column.stray[0]
        raise ValueError(
            f"target: column {column.name!r} is text (row {where}, the first being 0, is {column.shown(where)}), which "
            f"{option('task', 'regression')} cannot use: make it numbers, or give {option('task', 'classification')}."
        )
    codes, levels = column.codes()
    present = np.unique(codes[rows & (codes >= 0)])
    guess, why = _guess(column, len(present))
    chosen = guess if task == "auto" else task
    if chosen == "classification":
        return _classes(column, codes, levels, present, task, rows, (notes, warnings))
    values = np.where(np.isfinite(column.values), column.values, np.nan)[:, None]
    other = option("task", "classification")
    stated = f"taken as a number ({why}; {other} overrides)" if task == "auto" else "a number, as asked for"
    notes.append(f"target {column.name!r}: {stated}")
    if (
        column.kind == "whole"
        and 2 <= len(present) <= MAX_CLASSES
        and (task != "auto" or _is_range(column.values[rows]))
    ):
        warnings.append(
            f"target {column.name!r} has only {len(present)} different whole numbers and is taken as a number: if they "
            f"are class ids, give {other}"
        )
    _check_varies(column.name, values[rows])
    return Targets("regression", (column.name,), values)


def _guess(column: Column, count: int) -> tuple[Literal["classification", "regression"], str]:
    if column.kind == "text":
        return "classification", "text"
    if column.kind == "boolean":
        return "classification", "true or false"
    if column.kind == "whole" and count <= MAX_GUESSED:
        return "classification", f"whole numbers with {count} different values"
    return "regression", f"{count} different values" if column.kind == "whole" else {"date": "dates"}.get(
        column.kind, "not only whole numbers"
    )


def _is_range(values: np.ndarray) -> bool:
    """Whether whole numbers are 0, 1, ... or 1, 2, ..., as the ids of classes are."""
    present = np.unique(values[np.isfinite(values)])
    return len(present) > 1 and bool(present[0] in (0, 1) and (np.diff(present) == 1).all())


def _classes(
    column: Column,
    codes: np.ndarray,
    levels: tuple[str, ...],
    present: np.ndarray,
    task: str,
    rows: np.ndarray,
    told: tuple[list[str], list[str]],
) -> Targets:
    notes, warnings = told
    name, count, num_rows = column.name, len(present), int(rows.sum())
    stray = ""
    if column.stray is not None:
        row, share = column.stray
        stray = f" (row {row}, the first being 0, is {column.shown(row)} among numbers)"
        if share >= 0.5 and task == "auto":
            raise ValueError(
                f"target: column {name!r} is text with {count} different values{stray}: make all of them numbers or "
                f"leave that cell empty, or give {option('task', 'classification')}."
            )
    if count > MAX_CLASSES and (task == "auto" or count > num_rows / 2 or 8 * count * num_rows > _MAX_BYTES):
        fix = f"give {option('task', 'classification')} if they are classes, or name another column"
        if count > num_rows / 2:
            fix = "almost every row would be a class of its own; name another column"
        elif 8 * count * num_rows > _MAX_BYTES:
            fix = f"one-hot they would take {8 * count * num_rows / 2**30:.0f} GiB; merge rare classes first"
        elif task == "auto" and column.kind == "whole":
            fix = f"give {option('task', 'classification')} if they are class ids, or {option('task', 'regression')}"
        raise ValueError(f"target: column {name!r} has {count} classes in {num_rows} rows{stray}: {fix}.")
    why = _guess(column, count)[1] if column.kind != "number" else "as asked for"
    override = f"; {option('task', 'regression')} overrides" if column.kind in ("whole", "boolean") else ""
    notes.append(
        f"target {name!r}: {count} classes, one-hot ({why}{override})"
        if task == "auto"
        else f"target {name!r}: {count} classes, one-hot, as asked for"
    )
    numbers = np.full(len(levels) + 1, -1)
    numbers[present] = np.arange(count)
    values = numbers[codes].astype(np.float64)
    values[values < 0] = np.nan
    _check_varies(name, values[rows], levels[present[0]] if count else "")
    sizes = np.bincount(values[rows].astype(int), minlength=count)
    single = [levels[level] for level, size in zip(present, sizes, strict=True) if size == 1]
    if single:
        warnings.append(
            f"target {name!r}: {_listed(single)} {'has' if len(single) == 1 else 'have'} one row, of which nothing can "
            "be learned and measured"
        )
    return Targets("classification", tuple(levels[level] for level in present), values[:, None])


def _several(columns: list[Column], task: str, rows: np.ndarray, warnings: list[str]) -> Targets:
    if task == "classification":
        names = [column.name for column in columns]
        raise ValueError(f"{option('task', 'classification')} takes one target of one value, not {names}: name one.")
    parts: list[np.ndarray] = []
    names: list[str] = []
    for column in columns:
        if column.kind == "text":
            raise ValueError(
                f"target: {column.name!r} is text, but several targets must all be numbers; name one for classes."
            )
        values = column.values if column.values.ndim == 2 else column.values[:, None]
        parts.append(np.where(np.isfinite(values), values, np.nan))
        names += [column.name] if column.values.ndim == 1 else [f"{column.name}[{j}]" for j in range(values.shape[1])]
        if column.kind == "whole" and len(np.unique(values[rows])) <= MAX_GUESSED and _is_range(values[rows]):
            warnings.append(
                f"target {column.name!r} looks like class ids and is taken as a number, because there are several "
                "targets"
            )
        for name, other in zip(names, parts, strict=False):
            if other is not parts[-1] and np.array_equal(other, parts[-1], equal_nan=True):
                warnings.append(f"targets {name!r} and {column.name!r} are the same numbers")
    values = np.hstack(parts)
    for j, name in enumerate(names):
        _check_varies(name, values[rows][:, j : j + 1])
    return Targets("regression", tuple(names), values)


def _check_varies(name: str, values: np.ndarray, shown: str = "") -> None:
    if len(values) and (values == values[0]).all():
        value = shown or f"{values[0, 0]:.12g}"
        raise ValueError(
            f"target: column {name!r} is constant ({value}): there is nothing to learn; choose another with "
            f"{option('target')}."
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return f"class {shown}" if len(names) == 1 else f"classes {shown}{' ...' if len(names) > 8 else ''}"
