"""How near a predicted loss curve is to the measured one."""

from typing import NamedTuple

import numpy as np

__all__ = ["CurveScore", "mean_score", "score_curve"]


class CurveScore(NamedTuple):
    """Errors of the loss on one curve, or their means over curves.

    Arguments:
        mae: mean absolute error.
        rmse: root mean square error.
        r2: share of the variance of the curve that is explained.
        coverage: share of the points within their intervals; NaN for laws without.
    """

    mae: float
    rmse: float
    r2: float
    coverage: float = float("nan")


def score_curve(
    predicted: np.ndarray, measured: np.ndarray, low: np.ndarray | None = None, high: np.ndarray | None = None
) -> CurveScore:
    """The errors of a prediction, shape (points,), and the coverage of its intervals if given."""
    error = predicted - measured
    spread = float(((measured - measured.mean()) ** 2).sum())
    inside = float("nan")
    if low is not None and high is not None:
        inside = float(np.mean((measured >= low) & (measured <= high)))
    r2 = 1 - float((error**2).sum()) / spread if spread > 0 else float("nan")
    return CurveScore(float(np.abs(error).mean()), float(np.sqrt((error**2).mean())), r2, inside)


def mean_score(scores: dict[str, CurveScore], names: tuple[str, ...]) -> CurveScore:
    """Means over some curves."""
    return CurveScore(*(float(np.mean(column)) for column in zip(*(scores[name] for name in names), strict=True)))
