"""Between what some schedule reaches and what no schedule can exceed."""

import numpy as np

from ..analysis import crossing_times
from ._assessment import Assessment
from ._columns import format_short
from ._curves import Curve
from ._table import Table

__all__ = ["bracket", "most_gain"]

_USELESS = 1e3  # a bound that allows this much says nothing


def bracket(assessment: Assessment, numbers: Table) -> str:
    """One sentence on how much sooner any schedule could reach the loss that gains are measured at.

    Ceilings count: they are schedules too, and bounds hold for them on the loss that they looked at.

    Arguments:
        assessment: the comparison, with its bounds.
        numbers: what `table` makes of it.

    Returns:
        The sentence; empty where gains have no window.
    """
    if numbers.window is None:
        return ""
    ceiling = ""
    ends = [row for row in numbers.rows if row.is_ceiling and row.gains.horizon_gross is not None]
    if ends:
        best = max(ends, key=lambda row: row.gains.horizon_gross.value)  # pyright: ignore[reportOptionalMemberAccess]
        assert best.gains.horizon_gross is not None
        size = format_short(best.gains.horizon_gross.value)
        ceiling = f"The ceiling that nobody could run, {best.name}, gets there {size} times as soon before costs"
    limits = {curve.name: most_gain(assessment, numbers, curve) for curve in assessment.bounds if curve.kind == "bound"}
    useful = {name: most for name, most in limits.items() if most < _USELESS}
    if useful:
        name = min(useful, key=lambda name: useful[name])
        proven = f"no schedule whatever can get there more than {format_short(useful[name])} times as soon ({name})"
    elif limits:
        proven = f"there is no useful bound on what others could do ({', '.join(limits)}: too loose at this loss)"
    else:
        proven = "no bound is known on what other schedules could do"
    return f"{ceiling}; {proven}." if ceiling else f"{proven[0].upper()}{proven[1:]}."


def most_gain(assessment: Assessment, numbers: Table, curve: Curve) -> float:
    """How many times sooner a schedule on a bound would be where uniform sampling ends; infinite if it does not say.

    Arguments:
        assessment: the comparison.
        numbers: what `table` makes of it.
        curve: a bound among its `bounds`.
    """
    assert numbers.window is not None
    known = np.isfinite(curve.loss)
    if not known.all() or curve.loss[0] <= 0:
        return float("inf")
    times, end = assessment.times, numbers.window.end
    target = np.array([np.exp(np.interp(np.log(end), np.log(times[1:]), np.log(assessment.reference.loss[1:])))])
    reached = float(crossing_times(times, np.asarray(curve.loss), target)[0])
    return end / reached if reached > 0 else float("inf")
