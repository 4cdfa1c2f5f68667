"""How near predictions are to curves, and what curves leave open: covariance of the parameters, flat directions."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ._curve_model import NAMES

_WIDEST = 2.0  # standard deviation, on the real line, of a parameter that the curves do not determine at all
_FLAT = 0.4  # standard deviation from which a direction is called flat


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


@dataclass(frozen=True)
class Spread:
    """Errors of a fit.

    Arguments:
        covariance: of the parameters on the real line, shape (7, 7).
        residual: standard deviation of a measured log loss about the fit.
    """

    covariance: np.ndarray
    residual: float


def spread(errors: np.ndarray, slopes: np.ndarray, mask: np.ndarray, free: np.ndarray) -> Spread:
    """Covariance of the parameters from the errors of the log loss at the minimum, by Laplace's method.

    Errors of neighbours on a curve go together where the law is not exact, so that there are fewer independent points
    than there are points: by (1 + r) / (1 - r), with r the correlation of neighbours.

    Arguments:
        errors: of the log loss, shape (curves, points); 0 where the mask is.
        slopes: derivatives of the log loss, shape (curves, points, 7).
        mask: 1 for measured points, shape (curves, points).
        free: which parameters were fitted, shape (7,), boolean.
    """
    count = int(mask.sum())
    # a point that the robust loss counts for less must not count for more here
    limit = 3 * 1.4826 * np.median(np.abs(errors[mask > 0])) + 1e-12
    clipped = np.clip(errors, -limit, limit)
    degrees = max(count - int(free.sum()), 1)
    variance = float((clipped**2).sum() / degrees) + 1e-14
    both = mask[:, 1:] * mask[:, :-1]
    together = float((clipped[:, 1:] * clipped[:, :-1] * both).sum() / max(both.sum(), 1))
    correlation = np.clip(together / (variance * degrees / count), 0, 0.95)
    times = (1 + correlation) / (1 - correlation)
    rows = slopes.reshape(-1, len(NAMES))[:, free]
    information = rows.T @ rows / (variance * times) + np.eye(int(free.sum())) / _WIDEST**2
    covariance = np.zeros((len(NAMES), len(NAMES)))
    covariance[np.ix_(free, free)] = np.linalg.inv(information)
    return Spread((covariance + covariance.T) / 2, float(np.sqrt(variance)))


def spread_of_loss(found: Spread, slopes: np.ndarray) -> np.ndarray:
    """Standard deviation of a measured log loss about its prediction, for slopes of shape (..., 7)."""
    return np.sqrt(np.einsum("...i,ij,...j->...", slopes, found.covariance, slopes) + found.residual**2)


def flat_directions(covariance: np.ndarray) -> tuple[str, ...]:
    """Directions in which the parameters can move with next to no change of the fitted curves, in words."""
    values, vectors = np.linalg.eigh(covariance)
    found = []
    for value, vector in zip(values[::-1], vectors.T[::-1], strict=True):
        width = np.sqrt(max(value, 0))
        if width < _FLAT:
            break
        vector = vector * np.sign(vector[np.argmax(np.abs(vector))])
        parts = [
            f"{name} {'up' if part > 0 else 'down'}"
            for name, part in sorted(zip(NAMES, vector, strict=True), key=lambda pair: -abs(pair[1]))
            if abs(part) > 0.25
        ]
        found.append(f"{' with '.join(parts)} (standard deviation {width:.2g} on the scales of the search)")
    return tuple(found)
