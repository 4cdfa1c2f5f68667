"""Whole-step grids for curves: one interval wherever the rate holds still, more where it moves; padded into a batch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ._curve import Curve

_MOVE = 0.03  # of the peak; how much the rate may move in an interval
_MOST = 1024  # intervals that are added for moves of the rate


class CurveBatch(NamedTuple):
    """Curves of different lengths side by side; an interval of no steps does nothing.

    Arguments:
        grid: whole steps, shape (curves, times).
        rates: mean rate of each interval, shape (curves, times - 1).
        noise: noise of a curve over that of the reference batch size, shape (curves,).
        index: entry of the grid at which each loss was measured, shape (curves, points).
        log_loss: logarithm of each loss, shape (curves, points).
        mask: 1 for measured points, 0 for padding, shape (curves, points).
    """

    grid: np.ndarray
    rates: np.ndarray
    noise: np.ndarray
    index: np.ndarray
    log_loss: np.ndarray
    mask: np.ndarray


def refine(steps: np.ndarray, rates: np.ndarray, peak: float) -> tuple[np.ndarray, np.ndarray]:
    """A grid of whole steps that contains 0 and `steps`, and the mean of the rates over each of its intervals.

    Where the rate moves by more than 3% of the peak within an interval it is cut. The mean itself is exact, so that
    what is left is of second order in that move. A rate that jumps at very many steps is cut more coarsely.

    Arguments:
        steps: steps that the grid must contain, increasing, shape (points,).
        rates: rate of every step, shape (at least steps[-1],).
        peak: the largest rate.
    """
    last = int(steps[-1])
    needed = np.zeros(last + 1, bool)
    needed[0] = needed[steps] = True
    move = _MOVE * peak
    while True:
        marked = _cuts(needed, rates[:last], move)
        if np.count_nonzero(marked) - np.count_nonzero(needed) <= _MOST:
            break
        move *= 2
    grid = np.flatnonzero(marked)
    total = np.concatenate([[0.0], np.cumsum(rates[:last])])
    return grid, np.diff(total[grid]) / np.diff(grid)


def _cuts(needed: np.ndarray, rates: np.ndarray, move: float) -> np.ndarray:
    marked = needed.copy()
    low = high = rates[0] if len(rates) else 0.0
    for step, rate in enumerate(rates.tolist()):
        if needed[step]:
            low = high = rate
        low, high = min(low, rate), max(high, rate)
        if high - low > move:
            marked[step] = True
            low = high = rate
    return marked


def thinned(curve: Curve, most: int) -> Curve:
    """The curve with at most `most` points: groups of neighbours become their middle step and median loss."""
    size = curve.steps.size
    width = -(-size // most)
    if width == 1:
        return curve
    width += 1 - width % 2  # an odd number of points has a middle one
    starts = np.arange(0, size - width + 1, width)
    middle = starts + width // 2
    # a straight line through the middle moves the middle only, so medians are taken of what is left of a local line
    loss = np.array([_level(curve.steps[n : n + width], np.log(curve.loss[n : n + width])) for n in starts])
    return Curve(curve.steps[middle], np.exp(loss), curve.learning_rate, curve.batch_size)


def _level(steps: np.ndarray, log_loss: np.ndarray) -> float:
    """Log loss at the middle step: the median of the points once the slope between the ends is taken out."""
    middle = len(steps) // 2
    slope = (log_loss[-1] - log_loss[0]) / (steps[-1] - steps[0])
    return float(np.median(log_loss - slope * (steps - steps[middle])))


def curve_batch(curves: Sequence[Curve], peak: float, reference_batch: float | None) -> CurveBatch:
    """Curves on grids of their own, padded to the longest.

    Arguments:
        curves: at least one.
        peak: the largest rate of all.
        reference_batch: the batch size at which the noise is as fitted; None if unknown.
    """
    cut = [refine(curve.steps, curve.learning_rate, peak) for curve in curves]
    times = max(len(grid) for grid, _ in cut)
    points = max(curve.steps.size for curve in curves)
    return CurveBatch(
        np.stack([_padded(grid, times) for grid, _ in cut]),
        np.stack([_padded(rates, times - 1) for _, rates in cut]),
        np.array(
            [1.0 if reference_batch is None else reference_batch / (c.batch_size or reference_batch) for c in curves]
        ),
        np.stack([_padded(np.searchsorted(grid, c.steps), points) for (grid, _), c in zip(cut, curves, strict=True)]),
        np.stack([_padded(np.log(curve.loss), points) for curve in curves]),
        np.stack([(np.arange(points) < curve.steps.size).astype(np.float64) for curve in curves]),
    )


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values, (0, length - len(values)), mode="edge")
