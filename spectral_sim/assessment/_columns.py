"""What the table of a comparison shows of a schedule: its numbers, and the columns that they stand in."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..analysis import ExponentFit, Speedup
from ._gains import Gains
from ._interval import Interval

NONE = "-"
_SIGN = {"=": "", "<=": "≤", ">=": "≥"}
_LEAST, _MOST = 0.01, 1000.0  # ends of intervals of speed-ups that are written out


@dataclass(frozen=True)
class Row:
    """One schedule's numbers.

    Arguments:
        name: of the schedule.
        final_loss: at the last time.
        best_loss: lowest over all times.
        gains: over uniform sampling.
        max_weight: largest weight at any time.
        drive: tr M_w over tr M, the average over refreshes: what a larger learning rate would do too.
        exponent: of the loss; None where the curve is no power law.
        quadrature_error: largest relative error of the shell rule; None without quadrature.
        status: "ok", or what went wrong and when.
        ok: whether the run finished.
        is_uniform: whether this is the reference.
        is_ceiling: whether it was found by looking at the loss that it is judged by.
        scoring: how it scores the data, in words; empty if it does not.
        passes: compute of scoring by full passes over that of training, up to the horizon.
        on_the_fly: the same by rejection; NaN where that cannot be.
        ahead_from: time from which on it is ahead after its cost, up to the horizon; None for never.
        picked: whether it is the best after its cost on the rows that serve for picking.
        meaning: one sentence on how it chooses weights.
    """

    name: str
    final_loss: float
    best_loss: float
    gains: Gains
    max_weight: float
    drive: float
    exponent: ExponentFit | None
    quadrature_error: float | None
    status: str
    ok: bool
    is_uniform: bool
    is_ceiling: bool = False
    scoring: str = ""
    passes: float = 0.0
    on_the_fly: float = math.nan
    ahead_from: float | None = None
    picked: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Column:
    """A column of the table: title, what it means, and its text for each row.

    Arguments:
        title: a line break separates the parts of a long one.
        meaning: one sentence for readers.
        cell: text of a row.
        spare: whether a narrow page can do without it; larger goes first.
    """

    title: str
    meaning: str
    cell: Callable[[Row], str]
    spare: int = 0


def columns_of(
    measure: str, end: str, start: float | None, *, splits: int, is_modal: bool, is_scaled: bool
) -> list[Column]:
    """Every column after that of the names.

    Arguments:
        measure: what the losses are.
        end: where gains are measured, in words.
        start: first time of anytime gains; None where there are no gains.
        splits: how many splits of the data the numbers are means over.
        is_modal: whether weights act on modes.
        is_scaled: whether some schedule trains on visibly larger features.
    """
    where = "" if start is None else f" the {measure} that uniform sampling has at {end}"
    over = "" if start is None else f" from t = {format_short(start)} to there"
    columns = [
        Column(
            "gain\nnet",
            f"How many times sooner than uniform sampling it reaches{where}, its own cost included; above 1 is "
            "sooner. ≤: it never got there.",
            lambda row: format_speedup(row.gains.horizon_net),
        ),
        Column(
            "90%\ninterval",
            f"Of the net gain, over {splits} splits of the data and seeds; paired with uniform sampling.",
            lambda row: NONE if row.is_uniform else _interval(row.gains.net),
        ),
        Column(
            "gain\ngross", "The same before its cost.", lambda row: format_speedup(row.gains.horizon_gross), spare=1
        ),
        Column(
            "loss at\nsame compute",
            f"Change of the lowest {measure} that the compute of the whole run reaches, costs included.",
            lambda row: NONE if row.is_uniform else _change(row.gains.change),
        ),
        Column(
            "anytime\nnet",
            f"Geometric mean of the net gain over the losses that uniform sampling passes{over}.",
            lambda row: format_speedup(row.gains.anytime_net),
            spare=2,
        ),
        Column(
            "anytime\ngross",
            "The same before its cost.",
            lambda row: format_speedup(row.gains.anytime_gross),
            spare=3,
        ),
        Column("how it\nscores", "When it looks at the data.", lambda row: row.scoring or NONE, spare=4),
        Column(
            "cost by\npasses",
            "Compute of scoring all data at each refresh, over that of training.",
            lambda row: _share(row.passes),
            spare=4,
        ),
        Column(
            "cost by\nrejection",
            "Compute of scoring candidates on the fly, a third of the largest weight a step, over training.",
            lambda row: _share(row.on_the_fly),
            spare=5,
        ),
        Column(f"{measure}\nfinal", "At the last time.", lambda row: _number(row.final_loss), spare=5),
    ]
    if not is_modal:
        columns.append(
            Column("\nlowest", f"Lowest {measure} at any time.", lambda row: _number(row.best_loss), spare=6)
        )
    columns += [
        Column("largest\nweight", "Density ratio at any time.", lambda row: _short(row.max_weight), spare=7),
        Column("loss\nexponent", "Slope of log loss against log time, where that is straight.", _exponent, spare=3),
        Column("quadrature\nerror", "Of the shell rule, found by doubling its nodes.", _quadrature, spare=9),
    ]
    if is_scaled:
        meaning = (
            "Mean squared feature norm under the weights over that under uniform sampling (tr M_w / tr M). Above 1 "
            "a larger learning rate would give that part of a gain too."
        )
        columns.append(Column("\nscale", meaning, lambda row: _number(row.drive, 3), spare=8))
    return [*columns, Column("status", "What went wrong, and when.", lambda row: row.status)]


def format_speedup(value: Speedup | None) -> str:
    """Like 1.42x or ≤0.31x; a dash where there is none.

    Arguments:
        value: a ratio of times, or a bound on one; None where there is none.
    """
    if value is None:
        return NONE
    return f"{_SIGN[value.bound]}{_size(value.value)}x"


def format_short(value: float) -> str:
    """Three digits, without an exponent where that is no longer.

    Arguments:
        value: any finite number.
    """
    return f"{float(f'{value:.3g}'):.10g}" if 1e-3 <= value < 1e5 else f"{value:.3g}"


def _size(size: float) -> str:
    return f"{size:.2g}" if size < 0.1 or size >= 1e5 else f"{size:.2f}" if size < 10 else f"{size:.{int(size < 100)}f}"


def format_interval(value: Interval, show: Callable[[float], str] = format_short) -> str:
    """Both ends of an interval of a speed-up, which few splits may leave so wide that digits would say nothing."""
    low = f"below {_LEAST:g}" if value.low < _LEAST else show(value.low)
    return f"{low} to {f'above {_MOST:g}' if value.high > _MOST else show(value.high)}"


def _interval(value: Interval | None) -> str:
    return NONE if value is None or not value.is_known else format_interval(value, _size)


def _change(value: Interval | None) -> str:
    return NONE if value is None or not math.isfinite(value.value) else f"{value.value - 1:+.1%}"


def _share(value: float) -> str:
    return NONE if not math.isfinite(value) else f"{value:.0%}" if value >= 0.1 else f"{value:.1%}"


def _short(value: float) -> str:
    return format_short(value) if math.isfinite(value) else NONE


def _number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}g}" if math.isfinite(value) else NONE


def _exponent(row: Row) -> str:
    return "no power law" if row.exponent is None else f"{row.exponent.value:.3f} ± {row.exponent.stderr:.3f}"


def _quadrature(row: Row) -> str:
    error = row.quadrature_error
    return NONE if error is None else "unknown" if math.isnan(error) else f"{error:.0e}"
