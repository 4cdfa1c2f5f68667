"""How well curves of several schedules predict those of other runs: orders, gains, speed-ups, and one time scale."""

from typing import NamedTuple

import numpy as np
import scipy

from .._types import Float
from ..analysis import speedup

_NO_GAIN = 0.01  # of a log speed-up: it has no side
_SLOWEST_SEEN = 2  # times slower than uniform training: a schedule that is slower shows as that slow
_SLOWEST, _SCALES = 0.2, 97  # time factors that are tried: from this to its reciprocal


class Agreement(NamedTuple):
    """How well some curves tell what others do.

    Arguments:
        tau: Kendall's tau (b) of the last losses over schedules: 1 for the same order, 0 for none.
        curve_error: mean |log(told / true)| of the loss over schedules and refreshes.
        gain_error: mean error of the log loss ratio to uniform training at the end, over the other schedules.
        regret: log of the true last loss of the schedule that was told to be best, over the least true one.
        speedup_side: share of the speed-ups over uniform training, see `speedups`, that are told to be on the true side
            of 1; those that are truly within 1% of it do not count.
        speedup_error: median |log(told / true)| of those that are no bounds.
    """

    tau: float
    curve_error: float
    gain_error: float
    regret: float
    speedup_side: float
    speedup_error: float


def agreement(
    told: Float[np.ndarray, "schedules times"],
    true: Float[np.ndarray, "schedules times"],
    steps: Float[np.ndarray, "times"],
    baseline: int,
) -> Agreement:
    """The scores of `told` against `true`, both with uniform training in row `baseline`."""
    others = np.arange(len(true)) != baseline
    errors = np.abs(np.log(told[:, 1:] / true[:, 1:]))
    last_told, last_true = np.log(told[:, -1]), np.log(true[:, -1])
    gains = [(last - last[baseline])[others] for last in (last_told, last_true)]
    fast_told, fast_true = (np.log(speedups(loss, steps, baseline)[others]) for loss in (told, true))
    known = np.isfinite(fast_told) & np.isfinite(fast_true)
    sided, slowest = known & (np.abs(fast_true) > _NO_GAIN), -np.log(_SLOWEST_SEEN)
    both = known & (fast_told > slowest + 1e-9) & (fast_true > slowest + 1e-9)
    return Agreement(
        float(scipy.stats.kendalltau(last_told, last_true).statistic),
        float(errors.mean()),
        float(np.abs(gains[0] - gains[1]).mean()) if others.any() else 0.0,
        float(last_true[np.argmin(last_told)] - last_true.min()),
        float(np.mean(np.sign(fast_told[sided]) == np.sign(fast_true[sided]))) if sided.any() else float("nan"),
        float(np.median(np.abs(fast_told - fast_true)[both])) if both.any() else float("nan"),
    )


def mean_agreement(scores: list[Agreement]) -> Agreement:
    """The mean of each score over those where it is known; NaN where it never is."""
    known = [[score for score in column if not np.isnan(score)] for column in zip(*scores, strict=True)]
    found = [float(np.mean(column)) if column else float("nan") for column in known]
    return Agreement(*(found or [float("nan")] * len(Agreement._fields)))


def speedups(loss: np.ndarray, steps: np.ndarray, baseline: int) -> np.ndarray:
    """Of each schedule over the baseline, by the best loss so far that the baseline has at half of the steps.

    A schedule that does not get there by the last step counts as half as fast as the baseline, or less where that has
    stalled; NaN for all where the baseline has not fallen below its start by then.
    """
    found = []
    for curve in loss:
        try:
            found.append(speedup(steps, curve, loss[baseline], horizon=float(steps[-1]) / _SLOWEST_SEEN).value)
        except ValueError:  # uniform training has not fallen below its start
            found.append(np.nan)
    return np.array(found)


def clock_factor(told: np.ndarray, true: np.ndarray, times: np.ndarray) -> float:
    """How many times faster `true` runs through the curve `told`: the factor on time that fits best in log loss."""
    log_told, log_true = np.log(told), np.log(true)
    factors = np.geomspace(_SLOWEST, 1 / _SLOWEST, _SCALES)
    misfits = []
    for factor in factors:
        inside = times * factor <= times[-1]
        shown = np.interp(times * factor, times, log_told)
        misfits.append(np.abs(shown - log_true)[inside].mean() if inside.sum() > 2 else np.inf)
    return float(factors[int(np.argmin(misfits))])
