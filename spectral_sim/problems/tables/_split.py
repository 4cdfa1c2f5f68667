"""Which rows train and which are held out: at random by class, by whole groups, by time, or as a column says."""

from typing import Literal

import numpy as np

from ..._wording import option

Split = Literal["random", "group", "time"]
SPLITS = ("random", "group", "time")


def split_rows(
    rows: np.ndarray,
    fraction: float,
    *,
    split: Split,
    by: np.ndarray | None,
    classes: np.ndarray | None,
    repeats: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Divide rows into a training and a held-out part.

    Arguments:
        rows: row numbers to divide, shape (rows,).
        fraction: part to hold out.
        split: "random": by class where there are any, rows that repeat each other together. "group": whole groups.
            "time": the latest.
        by: group number, or time, of each of `rows`.
        classes: class of each of `rows`, or None.
        repeats: a number for each of `rows` that rows which repeat each other share.
        seed: of the random choice.

    Returns:
        Row numbers of both parts, in random order; by time in that order.

    Raises:
        ValueError: a fraction that leaves fewer than two rows, or one group.
    """
    wanted = round(fraction * len(rows))
    if len(rows) - wanted < 2:
        raise ValueError(
            f"{option('eval_fraction', fraction)} leaves {len(rows) - wanted} of {len(rows)} rows: lower it."
        )
    rng = np.random.default_rng(seed)
    if split == "time":
        assert by is not None
        order = np.argsort(by, kind="stable")
        if wanted:
            # rows of one moment stay together
            wanted = int(np.sum(by >= by[order[-wanted]]))
            if len(rows) - wanted < 2:
                raise ValueError(f"{option('split', 'time')}: nearly all rows have one time; choose another column.")
        return rows[order[: len(rows) - wanted]], rows[order[len(rows) - wanted :]]
    if split == "group":
        assert by is not None
        units, strata = by, None
        if len(np.unique(by)) < 2:
            raise ValueError(f"{option('split', 'group')}: there is one group only; choose another column.")
    else:
        units, strata = repeats, classes
    held_out = _drawn(units, strata, wanted, split == "group", rng)
    order = rng.permutation(len(rows))
    return rows[order[~held_out[order]]], rows[order[held_out[order]]]


def _drawn(
    units: np.ndarray, strata: np.ndarray | None, wanted: int, at_least_one: bool, rng: np.random.Generator
) -> np.ndarray:
    """A mask that holds whole units: about `wanted` rows, from each stratum its share."""
    _, first, number, sizes = np.unique(units, return_index=True, return_inverse=True, return_counts=True)
    stratum = np.zeros(len(first), int) if strata is None else strata[first].astype(int)
    totals = np.bincount(stratum, weights=sizes).astype(int)
    quota = _shares(totals, wanted)
    order = rng.permutation(len(first))
    order = order[np.argsort(stratum[order], kind="stable")]
    chosen = np.zeros(len(first), bool)
    taken = np.zeros(len(totals), int)
    for unit in order:
        s = stratum[unit]
        if taken[s] + sizes[unit] <= quota[s]:
            chosen[unit] = True
            taken[s] += sizes[unit]
    if at_least_one and wanted and not chosen.any():
        chosen[np.argmin(sizes)] = True
    return chosen[number]


def _shares(totals: np.ndarray, wanted: int) -> np.ndarray:
    """Whole numbers that add up to `wanted`, in proportion to the totals; each leaves at least one to train on."""
    exact = wanted * totals / max(totals.sum(), 1)
    quota = np.floor(exact).astype(int)
    for place in np.argsort(quota - exact, kind="stable"):
        if quota.sum() >= wanted:
            break
        if quota[place] + 1 < totals[place]:
            quota[place] += 1
    return quota


def repeated_rows(inputs: list[np.ndarray]) -> np.ndarray:
    """A number for each row that equal rows share, shape (rows,).

    Arguments:
        inputs: arrays of numbers, shape (rows, columns) each.
    """
    mixed = np.zeros(len(inputs[0]), np.uint64)
    with np.errstate(over="ignore"):
        for values in inputs:
            for column in values.T:
                bits = (np.where(np.isnan(column), np.nan, column) + 0.0).astype(np.float64).view(np.uint64)
                mixed = (mixed ^ bits) * np.uint64(0x9E3779B97F4A7C15)
                mixed ^= mixed >> np.uint64(29)
                mixed *= np.uint64(0xBF58476D1CE4E5B9)
                mixed ^= mixed >> np.uint64(32)
    return np.unique(mixed, return_inverse=True)[1]
