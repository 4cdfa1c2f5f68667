"""Intervals for numbers that are read off curves averaged over splits of the data."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVEL = 0.9
# quantiles of Student's t at 95%, by degrees of freedom; what a one-sided 95% leaves out on either side is 90%
_QUANTILES = (math.nan, 6.3138, 2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125)
_NORMAL = 1.6449


@dataclass(frozen=True)
class Interval:
    """A number and its 90% interval; the interval is NaN where it is not known.

    Arguments:
        value: the number.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def is_known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def map(self, function: Callable[[float], float]) -> "Interval":
        """The interval of an increasing function of the number.

        Arguments:
            function: of a float; applied to the value and to both ends.
        """
        return Interval(*(function(end) for end in (self.value, self.low, self.high)))


def interval(statistic: Callable[[np.ndarray], float], count: int, overlap: float) -> Interval:
    """A statistic of all splits, with a 90% interval for what it would be over new data.

    The jackknife makes of the statistic one pseudo-value for each split: how much it owes to that split. Splits share
    rows, so their scatter says too little by itself: its square is counted 1 / count + overlap times (Nadeau and Bengio
    2003, "Inference for the generalization error"), with Student's t.

    Arguments:
        statistic: of the splits with the given numbers, such as a number read off their mean curve; NaN for none.
        count: number of splits.
        overlap: what the rows that splits share add.
    """
    everything = np.arange(count)
    value = statistic(everything)
    if count < 3 or not math.isfinite(value):
        return Interval(value)
    without = np.array([statistic(np.delete(everything, each)) for each in everything])
    pseudo = count * value - (count - 1) * without
    if not np.isfinite(pseudo).all():
        return Interval(value)
    degrees = count - 1
    quantile = _QUANTILES[degrees] if degrees < len(_QUANTILES) else _NORMAL * (1 + 0.93 / degrees)
    half = quantile * math.sqrt((1 / count + overlap) * float(np.var(pseudo, ddof=1)))
    return Interval(value, value - half, value + half)
