"""When a loss curve first reaches a target."""

import numpy as np
from jaxtyping import ArrayLike, Float

from .._checks import check_positive
from ._curve import as_curve

__all__ = ["first_crossing", "time_to_loss"]


def time_to_loss(times: ArrayLike, loss: ArrayLike, target: ArrayLike) -> float | Float[np.ndarray, "..."]:
    """First time at which the loss is at or below a target.

    Between two refreshes the curve is taken to be straight in log-log, and log L linear in t on a first interval that
    starts at time 0. The loss may rise and fall: the first crossing counts.

    Arguments:
        times: refresh grid, shape (times,), increasing, in units of time.
        loss: loss at each time, shape (times,). A NaN entry reaches no target; where the curve enters an interval from
            NaN or infinity, or leaves it at zero, the crossing is put at the end of the interval.
        target: one or several positive losses, any shape.

    Returns:
        Times in the shape of `target` (a float for a single one): infinite where the target is never reached, 0 where
        loss[0] is already there.

    Raises:
        ValueError: bad curve (see the message), or a target that is not positive.
    """
    grid, values = as_curve(times, loss=loss)
    check_positive("target", target, "a loss target lies above zero; subtract no floor from it")
    reached = first_crossing(grid, values, np.asarray(target, dtype=np.float64))
    return reached if np.ndim(target) else float(reached)


def first_crossing(
    times: Float[np.ndarray, "times"], loss: Float[np.ndarray, "times"], target: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """`time_to_loss` on checked arrays; a target equal to a loss on the grid gives that very time."""
    loss = np.where(np.isnan(loss), np.inf, loss)
    end = np.searchsorted(-np.minimum.accumulate(loss), -target)  # first entry at or below the target
    inner = np.clip(end, 1, loss.size - 1)
    before, after, start, stop = loss[inner - 1], loss[inner], times[inner - 1], times[inner]
    # How far before the end of its interval the crossing lies: 0 at the end, 1 at the start.
    smooth = (end > 0) & (end < loss.size) & np.isfinite(before) & (after > 0)
    part = np.zeros(target.shape)
    part[smooth] = np.log(target[smooth] / after[smooth]) / np.log(before[smooth] / after[smooth])
    with np.errstate(divide="ignore"):  # an interval that starts at 0 is infinitely long in log time
        crossing = np.where(start > 0, stop * (start / stop) ** part, stop * (1 - part))
    return np.where(end == 0, 0.0, np.where(end < loss.size, crossing, np.inf))
