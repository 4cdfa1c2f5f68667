"""Loss curves as every function of this package takes them: float64 on the host, checked once."""

from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Float

from .._checks import check_finite, check_increasing, check_length, check_ndim, check_non_negative

_ROUNDING = 1e-9  # logspace does not return its ends to the last digit; a window that names them must hold them


def as_curve(times: ArrayLike, **losses: ArrayLike) -> tuple[Float[np.ndarray, "times"], ...]:
    """The times and each named loss as float64; the grid may start at 0 or later, losses may hold NaN.

    Raises:
        ValueError: not one axis, fewer than two times, lengths that differ, or times that are negative, not finite or
            not increasing.
    """
    check_ndim("times", times, 1, "times")
    grid = np.asarray(times, dtype=np.float64)
    if grid.size < 2:
        raise ValueError(f"times has length {grid.size}: give at least two times, with the loss at each.")
    check_non_negative("times", grid, "measure time from the start of training")
    check_increasing(grid)
    for name, loss in losses.items():
        check_ndim(name, loss, 1, "times")
        check_length(name, loss, grid.size, f"times with {grid.size} entries")
    return grid, *(np.asarray(loss, dtype=np.float64) for loss in losses.values())


def as_window(name: str, window: Any, times: Float[np.ndarray, "times"]) -> tuple[float, float]:
    """A window (t0, t1) in log time that lies inside `times`.

    Raises:
        ValueError: not a pair, not 0 < t0 < t1, or outside the times.
    """
    if np.shape(window) != (2,):
        raise ValueError(f"{name}={window!r} is not a pair; give {name}=(t0, t1), in the units of times.")
    check_finite(name, window, "name a first and a last time")
    start, end = (float(edge) for edge in window)
    if not 0 < start < end:
        raise ValueError(f"{name}=({start:.6g}, {end:.6g}) is no window: give 0 < t0 < t1.")
    if start < times[0] * (1 - _ROUNDING) or end > times[-1] * (1 + _ROUNDING):
        raise ValueError(
            f"{name}=({start:.6g}, {end:.6g}) reaches outside times, which run from {times[0]:.6g} to "
            f"{times[-1]:.6g}: choose a window inside, or simulate longer."
        )
    return start, end


def inside(times: Float[np.ndarray, "times"], window: tuple[float, float]) -> np.ndarray:
    """Which times lie in the window, ends included.

    Arguments:
        times: shape (times,).
        window: first and last time.
    """
    return (times >= window[0] * (1 - _ROUNDING)) & (times <= window[1] * (1 + _ROUNDING))
