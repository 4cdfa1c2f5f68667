"""Tables of mixtures and losses: names, checks, and the messages that say which row and column is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._checks import nearest
from .._types import Float

FEWEST_RUNS = 8
_ROUNDING = 0.02  # sums of shares this near to one are taken for rounded
_EXACT = 1e-9


@dataclass(frozen=True, eq=False)
class MixtureTable:
    """Mixtures that were tried, and what came of them.

    Arguments:
        ratios: shares, shape (runs, domains), each row with sum one.
        losses: shape (runs, losses), positive.
        domains: name of each domain.
        metrics: name of each loss.
        runs: name of each run.
        notes: what was changed on the way in.
    """

    ratios: Float[np.ndarray, "runs domains"]
    losses: Float[np.ndarray, "runs losses"]
    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    runs: tuple[str, ...]
    notes: tuple[str, ...] = ()


class NamedTable:
    """Numbers with names for columns and rows: as much of a data frame as the checks look at.

    Arguments:
        values: shape (rows, columns).
        columns: names of the columns.
        index: names of the rows, or None.
    """

    def __init__(self, values: np.ndarray, columns: Sequence[str], index: Sequence[str] | None = None):
        self.values, self.columns, self.index = values, tuple(columns), index
        self.ndim, self.shape = values.ndim, values.shape

    def to_numpy(self) -> np.ndarray:
        """The numbers."""
        return self.values


def mixture_table(ratios: Any, losses: Any, *, fewest: int = FEWEST_RUNS) -> MixtureTable:
    """Check two tables and bring them together; data frames are joined by their index where both have names in it.

    Arguments:
        ratios: shares, shape (runs, domains); an array or a data frame.
        losses: shape (runs, losses); an array or a data frame.
        fewest: how few runs are refused.

    Raises:
        ValueError: names the row and the column of the first thing that is wrong.
    """
    if getattr(ratios, "columns", None) is None and np.ndim(ratios) == 3:
        raise ValueError(
            f"ratios has shape {np.shape(ratios)}, one mixture a phase: fit_mixture takes one mixture a run, shape "
            "(runs, domains); use fit_phases for tables with phases."
        )
    shares, domains, runs = values_of(ratios, "ratios", "domain")
    values, metrics, loss_runs = values_of(losses, "losses", "loss")
    for name, columns in (("ratios", domains), ("losses", metrics)):
        _no_repeats(name, "column", columns)
    if runs is not None and loss_runs is not None:
        _no_repeats("ratios", "run", runs)
        _no_repeats("losses", "run", loss_runs)
        for here, there, ours, theirs in (("ratios", "losses", runs, loss_runs), ("losses", "ratios", loss_runs, runs)):
            missing = [name for name in ours if name not in set(theirs)]
            if missing:
                raise ValueError(
                    f"run {missing[0]!r} is in {here} but not in {there} ({len(missing)} such): give both tables the "
                    "same runs."
                )
        place = {name: n for n, name in enumerate(loss_runs)}
        values = values[[place[name] for name in runs]]
    elif len(shares) != len(values):
        raise ValueError(
            f"ratios has {len(shares)} rows and losses {len(values)}: give one row for each run, in the same order."
        )
    names = runs or loss_runs or tuple(str(n) for n in range(len(shares)))
    if len(shares) < fewest:
        raise ValueError(f"ratios has {len(shares)} runs: at least {fewest} are needed; try more mixtures.")
    shares, notes = check_shares(shares, names, domains)
    still = np.ptp(shares, axis=0) <= _EXACT
    if still.any():
        g = int(np.argmax(still))
        raise ValueError(
            f"domain {domains[g]!r} (column {g} of ratios) has the share {shares[0, g]:.4g} in every run: what it does "
            "cannot be told; drop the column and rescale the others, or add runs that vary it."
        )
    check_losses(values, names, metrics)
    if len(np.unique(shares, axis=0)) < fewest:
        count = len(np.unique(shares, axis=0))
        raise ValueError(f"ratios holds {count} different mixtures: at least {fewest} are needed; try more of them.")
    return MixtureTable(shares, values, domains, metrics, names, notes)


def values_of(table: Any, name: str, kind: str) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...] | None]:
    """A table as numbers, with the names of its columns, and those of its rows if it has any."""
    columns = getattr(table, "columns", None)
    rows = None
    if columns is not None:
        names = tuple(str(column) for column in columns)
        index = getattr(table, "index", None)
        if index is not None and type(index).__name__ != "RangeIndex":
            rows = tuple(str(row) for row in index)
        table = table.to_numpy()
    else:
        table = np.asarray(table)
        names = tuple(f"{kind} {n}" for n in range(table.shape[-1] if table.ndim else 0))
    if table.ndim != 2:
        raise ValueError(f"{name} must have shape (runs, {kind}s), got shape {table.shape}; reshape it.")
    try:
        values = np.asarray(table, np.float64)
    except (TypeError, ValueError):
        for row, column in np.ndindex(table.shape):
            if not is_number(table[row, column]):
                where = f"row {row if rows is None else rows[row]}, column {names[column]!r}"
                raise ValueError(f"{name}: {where} holds {table[row, column]!r}: give a number.") from None
        raise
    return values, names, rows


def check_shares(
    shares: np.ndarray, runs: Sequence[str], domains: Sequence[str], name: str = "ratios"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Shares with sum one, and a note if they had to be rescaled."""

    def place(n: int, g: int) -> str:
        return f"{name}: run {runs[n]!r} (row {n}), domain {domains[g]!r} (column {g})"

    for bad, what, fix in (
        (~np.isfinite(shares), "every share must be a number", "fill it in, or drop the run"),
        (shares < 0, "a share is not negative", "correct it, or drop the run"),
    ):
        if bad.any():
            n, g = np.argwhere(bad)[0]
            raise ValueError(f"{place(n, g)} is {shares[n, g]:.6g}: {what}; {fix}.")
    sums = shares.sum(axis=1)
    off = np.abs(sums - 1)
    worst = int(np.argmax(off))
    if off[worst] > _ROUNDING:
        several = np.round(sums[worst])
        if abs(sums[worst] - 100) < 100 * _ROUNDING:
            advice = "divide percentages by 100"
        elif several >= 2 and abs(sums[worst] - several) <= _ROUNDING * several:
            advice = f"if these are the shares of {several:.0f} phases side by side, use fit_phases"
        else:
            advice = "divide the row by its sum, or look for a missing domain"
        raise ValueError(
            f"{name}: run {runs[worst]!r} (row {worst}) has shares with sum {sums[worst]:.6g}, not 1: {advice}."
        )
    if off[worst] <= _EXACT:
        return shares / sums[:, None], ()
    note = (
        f"{int(np.sum(off > _EXACT))} of {len(shares)} rows of {name} did not sum to one exactly (from "
        f"{sums.min():.4g} to {sums.max():.4g}): taken for rounded, and rescaled."
    )
    return shares / sums[:, None], (note,)


def check_losses(losses: np.ndarray, runs: Sequence[str], metrics: Sequence[str], name: str = "losses") -> None:
    """Raise unless all losses are positive numbers and each of them varies."""
    for bad, what in ((~np.isfinite(losses), "every loss must be a number"), (losses <= 0, "a loss must be positive")):
        if bad.any():
            n, h = np.argwhere(bad)[0]
            raise ValueError(
                f"{name}: run {runs[n]!r} (row {n}), loss {metrics[h]!r} (column {h}) is {losses[n, h]:.6g}: {what}; "
                "correct it, or drop the run."
            )
    still = np.ptp(losses, axis=0) <= 0
    if len(losses) > 1 and still.any():
        h = int(np.argmax(still))
        raise ValueError(
            f"{name}: loss {metrics[h]!r} (column {h}) is {losses[0, h]:.6g} in every run: there is nothing to learn; "
            "drop the column."
        )


def by_domain(
    name: str, value: Any, names: Sequence[str], kind: str = "domain", fill: float | None = None
) -> np.ndarray:
    """One number for each domain (or loss), from an array in order, or from a mapping by name.

    Arguments:
        name: of the argument, for messages.
        value: an array of shape (domains,), a mapping or a series from names to numbers, or one number for all.
        names: the domains.
        kind: what the names are.
        fill: what a mapping that leaves a name out means by it; None if it must not.

    Raises:
        ValueError: names the entry that is unknown, missing, negative or no number.
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, Mapping):
        given = {str(key): item for key, item in value.items()}
        for key in given:
            if key not in names:
                raise ValueError(f"{name} names {key!r}, which is no {kind} of the table.{nearest(key, names)}")
        for key in names:
            if key not in given and fill is None:
                raise ValueError(f"{name} has no entry for {kind} {key!r}: give one number for each {kind}.")
        value = [given.get(key, fill) for key in names]
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}: give one number for each {kind}.") from None
    if array.ndim == 0:
        array = np.full(len(names), float(array))
    if array.shape != (len(names),):
        raise ValueError(f"{name} has shape {array.shape}: give one number for each of the {len(names)} {kind}s.")
    bad = ~np.isfinite(array) | (array < 0)
    if bad.any():
        g = int(np.argmax(bad))
        raise ValueError(f"{name} of {kind} {names[g]!r} is {array[g]:.6g}: give a number that is not negative.")
    return array


def _no_repeats(name: str, what: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for position, each in enumerate(names):
        if each in seen:
            raise ValueError(f"{name}: {what} {each!r} is there twice (again at {position}): keep one of them.")
        seen.add(each)


def is_number(value: Any) -> bool:
    """Whether something can be read as a number."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
