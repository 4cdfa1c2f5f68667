"""The least value of a smooth function of shares between limits."""

import warnings
from collections.abc import Callable

import numpy as np
import scipy

_MOST_GAP = 1e-4  # of the value; predictions are seldom better
_SMALLEST = 1e-9  # shares are kept above it, where powers below one have a finite slope


def least_shares(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]], low: np.ndarray, high: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Minimise over shares with sum one between `low` and `high`; exact for convex functions.

    Warns where a convex function, which is nowhere below its tangent, may be less elsewhere by more than a
    ten-thousandth of its value.

    Arguments:
        function: value and gradient at shares of shape (domains,).
        low: least shares, with a sum of at most one.
        high: largest shares, with a sum of at least one.
        start: shares that meet the limits.
    """
    bottom = np.minimum(np.maximum(low, _SMALLEST), high)
    value = abs(function(np.maximum(start, bottom))[0]) or 1.0

    def scaled(shares):
        result, gradient = function(np.maximum(shares, bottom))
        return result / value, gradient / value

    found = scipy.optimize.minimize(
        scaled,
        np.clip(start, bottom, high),
        jac=True,
        method="SLSQP",
        bounds=np.stack([bottom, high], axis=1),
        constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 300, "ftol": 1e-12},
    )
    shares = np.clip(found.x, low, high)
    reached, slope = scaled(shares)
    gap = float(slope @ shares - slope @ _least_corner(slope, bottom, high))
    if not gap <= _MOST_GAP * max(1.0, abs(reached)):
        warnings.warn(
            f"the best mixture was not found ({found.message.rstrip('.')}): another may be better by up to "
            f"{gap * value:.2g}; widen the limits, or begin nearer to it.",
            stacklevel=2,
        )
    shares[shares < 10 * _SMALLEST] = np.maximum(low, 0)[shares < 10 * _SMALLEST]
    return shares / shares.sum()


def _least_corner(slope: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Shares between the limits at which a linear function is least: what is left goes where the slope is lowest."""
    order = np.argsort(slope)
    room = (high - low)[order]
    filled = np.clip(1 - low.sum() - np.concatenate([[0.0], np.cumsum(room)[:-1]]), 0, room)
    corner = low.copy()
    corner[order] += filled
    return corner


def start_between(prior: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Shares between the limits that are proportional to the prior where the limits let them."""
    smallest, largest = 0.0, 1.0
    base = np.maximum(prior, 1e-6)
    while np.clip(largest * base, low, high).sum() < 1 and largest < 1e12:
        largest *= 2
    for _ in range(200):
        middle = (smallest + largest) / 2
        smallest, largest = (middle, largest) if np.clip(middle * base, low, high).sum() < 1 else (smallest, middle)
    return np.clip(largest * base, low, high)
