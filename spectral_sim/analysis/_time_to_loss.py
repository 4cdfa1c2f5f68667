"""When a loss curve first reaches a target."""

import numpy as np
from jaxtyping import ArrayLike, Float

from .._checks import check_positive
from ._curve import as_curve
from ._readings import crossing_times

__all__ = ["time_to_loss"]


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
        Times in the shape of `target` (a float for a single one), infinite where the target is never reached, 0 where
        loss[0] is already there.

    Raises:
        ValueError: bad curve (see the message), or a target that is not positive.
    """
    grid, values = as_curve(times, loss=loss)
    check_positive("target", target, "a loss target lies above zero; subtract no floor from it")
    reached = crossing_times(grid, values, np.asarray(target, dtype=np.float64))
    return reached if np.ndim(target) else float(reached)
