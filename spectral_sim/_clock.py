"""The refresh grid of a run, on the clock of its dynamics and in intrinsic time."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ._checks import check_choice, check_steps, check_times, is_concrete
from ._times import constant_times
from ._types import Array, Float, Int
from .dynamics import AbstractDynamics


class Clock(eqx.Module):
    """A refresh grid as the loop uses it.

    Arguments:
        times: intrinsic time at each refresh, which schedules see, shape (times,).
        durations: intrinsic time of each interval, shape (intervals,).
        ends: the end of each interval on the clock of the dynamics: a time or a number of steps, shape (intervals,).
        spans: the length of each interval on that clock, shape (intervals,).
        steps: the grid of dynamics with steps, shape (times,); None for those without.
    """

    times: Float[Array, "times"]
    durations: Float[Array, "intervals"]
    ends: Array
    spans: Array
    steps: Int[Array, "times"] | None


def run_clock(dynamics: AbstractDynamics, grid: Any, dtype: Any) -> tuple[AbstractDynamics, Clock]:
    """The dynamics as they run on a grid, and the grid on their clock.

    Raises:
        ValueError: a clock that there is not, no refresh grid, or one that is not of whole steps where the dynamics
            take steps.
    """
    check_choice(f"{type(dynamics).__name__}.clock", dynamics.clock, ("time", "steps"))
    check_times(grid)
    # differences are taken in float64 where possible: on a long grid float32 times lose an interval's digits
    grid = np.asarray(grid, np.float64) if is_concrete(grid) else constant_times(jnp.asarray(grid))
    if dynamics.clock == "time":
        times = jnp.asarray(grid, dtype)
        durations = jnp.asarray(np.diff(grid) if is_concrete(grid) else jnp.diff(grid), dtype)
        return dynamics, Clock(times, durations, times[1:], durations, None)
    whole = jnp.result_type(int)
    check_steps(grid, int(jnp.iinfo(whole).max))
    steps = grid.astype(np.int64 if is_concrete(grid) else whole)
    dynamics, durations = dynamics.on_steps(steps)
    if is_concrete(durations):
        durations = np.asarray(durations, np.float64)
        times = np.concatenate([[0.0], np.cumsum(durations)])
    else:
        times = jnp.concatenate([jnp.zeros(1, durations.dtype), jnp.cumsum(durations)])
    counts = jnp.asarray(steps, whole)
    times, durations = jnp.asarray(times, dtype), jnp.asarray(durations, dtype)
    return dynamics, Clock(times, durations, counts[1:], jnp.diff(counts), counts)
