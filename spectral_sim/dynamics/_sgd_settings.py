"""Learning rate and batch size, as numbers, tables or schedules of the step; the steps that fill an interval."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, check_non_negative, check_positive, check_scalar, concrete, first_index, is_concrete
from .._status import Status
from .._types import Array, ArrayLike, Float, Int, PerRefresh, as_inexact

__all__ = [
    "as_setting",
    "check_settings",
    "in_force",
    "later",
    "no_steps",
    "setting_at",
    "settings_code",
    "step_rates",
    "step_times",
    "whole_steps",
]

Setting = Any  # a scalar, a PerRefresh table of scalars, or a callable of the number of steps taken, as optax's are
_TOLERANCE = 1e-3  # of a step
_SAME_SUM = 0.01
_AVERAGED = 4096


def as_setting(value: Any) -> Setting:
    """A schedule of the step passes; anything else becomes an inexact array."""
    return value if callable(value) else as_inexact(value)


def check_settings(learning_rate: Setting, batch_size: Setting, noise_variance: Setting) -> None:
    """Raise on the first value that no run could use; schedules of the step are checked as they are evaluated."""
    for name, value, fix in (
        ("learning_rate", learning_rate, "give a step in units of time, a table, or a function of the step"),
        ("batch_size", batch_size, "give a number of examples; ModalFlow and OperatorFlow follow full gradients"),
        ("noise_variance", noise_variance, "give sigma^2, 0 for labels without noise"),
    ):
        if value is None:
            raise ValueError(f"{name} is None: {fix}.")
    if callable(noise_variance):
        raise ValueError("noise_variance is a function: give sigma^2 as a number or a PerRefresh table.")
    if not callable(learning_rate):
        check_positive("learning_rate", learning_rate, "give a step in units of time")
    if not callable(batch_size):
        check_finite("batch_size", batch_size, "give a number of examples; ModalFlow is the limit of small steps")
        if is_concrete(batch_size) and (concrete(batch_size) < 1).any():
            bad = concrete(batch_size) < 1
            raise ValueError(
                f"batch_size{first_index(bad)} is {concrete(batch_size)[bad][0]:.6g}: a batch has at least one "
                "example; give 1 or more."
            )
    check_non_negative("noise_variance", noise_variance, "give sigma^2, the variance of the label noise")


def setting_at(name: str, setting: Setting, steps: Int[Array, ""], dtype: Any) -> Float[Array, ""]:
    """The value in force after `steps` steps; tables have been sliced by the loop."""
    value = setting(steps.astype(jnp.result_type(float))) if callable(setting) else setting
    check_scalar(name, value)
    return jnp.asarray(value, dtype)


def no_steps() -> Int[Array, ""]:
    """The number of steps taken at the start, to be counted on by `later`."""
    return jnp.zeros((), jnp.result_type(int))


def in_force(dynamics: Any, steps: Int[Array, ""], dtype: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Learning rate and batch size of a dynamics after `steps` steps; raises unless each setting is one number."""
    check_scalar("noise_variance", dynamics.noise_variance)
    rate = setting_at("learning_rate", dynamics.learning_rate, steps, dtype)
    return rate, setting_at("batch_size", dynamics.batch_size, steps, dtype)


def later(taken: Int[Array, ""], steps: Float[Array, ""]) -> Int[Array, ""]:
    """The number of steps taken after some more; counted in whole numbers, of which float32 has too few.

    Without double precision it stays at the largest there is, 2^31 - 1.
    """
    largest = jnp.iinfo(taken.dtype).max
    return jnp.where(steps > (largest - taken).astype(steps.dtype), largest, taken + steps.astype(taken.dtype))


def whole_steps(duration: Float[Array, ""], learning_rate: Float[Array, ""]) -> tuple[Array, Array]:
    """n = rint(h / eta), and h / eta itself where n is off by more than a thousandth of a step, else NaN.

    The difference is also allowed what rounding makes of it: in float32 a million steps are known to a tenth.
    """
    ratio = duration / jnp.where(learning_rate > 0, learning_rate, 1)
    steps = jnp.rint(ratio)
    allowed = jnp.maximum(_TOLERANCE, 8 * jnp.finfo(ratio.dtype).eps * ratio)
    exact = (jnp.abs(ratio - steps) <= allowed) & (steps >= 1)
    return steps, jnp.where(exact, jnp.nan, ratio)


def settings_code(
    learning_rate: Float[Array, ""], batch_size: Float[Array, ""], noise_variance: Float[Array, ""], partial: Array
) -> Array:
    """The status of settings and steps alone."""
    good = (learning_rate > 0) & jnp.isfinite(learning_rate) & (batch_size >= 1) & (noise_variance >= 0)
    code = jnp.where(jnp.isnan(partial), Status.OK, Status.PARTIAL_STEPS)
    return jnp.where(good, code, Status.BAD_SETTING)


def step_times(learning_rate: ArrayLike | PerRefresh | Callable, steps: ArrayLike) -> np.ndarray:
    """The refresh grid of a run that is refreshed after given numbers of steps: time is the running sum of eta.

    The learning rate is held from refresh to refresh, as weights are. Of a schedule of the step that is the rate at the
    start of each interval; where it changes much within intervals, use `step_rates`, and pass what it returns both
    here and to the dynamics.

    Arguments:
        learning_rate: eta, a number, a `PerRefresh` table, or a schedule of the step such as optax's.
        steps: numbers of steps at which to refresh, shape (times,), starting at 0; rounded to whole numbers, repeats
            dropped. `log_times(1, 1e6, 201)` spaces them evenly in the logarithm.

    Returns:
        Shape (times,), float64, for `simulate`: every interval is a whole number of steps.

    Raises:
        ValueError: steps that do not start at 0 or decrease, or a learning rate that is not positive at a refresh.

    Warns:
        UserWarning: a schedule whose own sum over the steps differs from the last time by more than 1%.
    """
    if isinstance(learning_rate, PerRefresh):
        counts = _counts(steps)
        rates = np.asarray(learning_rate.by_refresh(), np.float64)
        if rates.shape not in ((counts.size - 1,), (counts.size,)):
            raise ValueError(
                f"the table has {rates.shape[0]} learning rates and steps has {np.size(steps)} entries, of which "
                f"{counts.size} differ when rounded: give one rate for each of as many different counts."
            )
        rates = rates[: counts.size - 1]
    else:
        counts = _counts(steps)
        rates = _rates_at(learning_rate, counts[:-1])
    stuck = ~(rates > 0)
    if stuck.any():
        n = int(np.argmax(stuck))
        raise ValueError(
            f"the learning rate is {rates[n]:.6g} at refresh {n} (step {counts[n]:.0f}), so time would stand still: "
            "start a warm-up, and end a decay, above zero, or take the means of intervals with step_rates."
        )
    times = np.concatenate([[0.0], np.cumsum(rates * np.diff(counts))])
    if callable(learning_rate):
        own = float(np.sum(_means(learning_rate, counts) * np.diff(counts)))
        if abs(times[-1] / own - 1) > _SAME_SUM:
            warnings.warn(
                f"held from refresh to refresh the learning rate sums to {times[-1]:.4g}, by itself to {own:.4g}: "
                "refresh more often where it changes, or use rates = step_rates(schedule, steps), "
                "step_times(rates, steps) and the same rates in the dynamics.",
                stacklevel=2,
            )
    return times


def step_rates(learning_rate: Callable, steps: ArrayLike) -> PerRefresh:
    """The mean of a schedule of the step over each interval between refreshes: for `step_times` and for the dynamics.

    With it time is the schedule's own running sum, and what holding the rate over an interval changes is of second
    order in how much the rate changes there. A warm-up may start at zero.

    Arguments:
        learning_rate: steps taken -> eta, such as an optax schedule.
        steps: numbers of steps at which to refresh, as in `step_times`; give both the same.

    Returns:
        A table with one rate for each interval, float64 where that is enabled. Intervals of more than 4,096 steps are
        averaged over as many of them, evenly spread.

    Raises:
        ValueError: steps as in `step_times`, an interval over which the mean is not positive, or a learning rate that
            is no function.
    """
    if not callable(learning_rate):
        raise ValueError(
            f"learning_rate is a {type(learning_rate).__name__}: give a function of the step; numbers and tables go to "
            "step_times as they are."
        )
    counts = _counts(steps)
    rates = _means(learning_rate, counts)
    stuck = ~(rates > 0)
    if stuck.any():
        n = int(np.argmax(stuck))
        raise ValueError(
            f"the mean learning rate is {rates[n]:.6g} over steps {counts[n]:.0f} to {counts[n + 1]:.0f}, so time "
            f"would stand still: drop {counts[n + 1]:.0f} from steps, or start a warm-up, and end a decay, above zero."
        )
    return PerRefresh(jnp.asarray(rates, jnp.result_type(float)))


def _counts(steps: ArrayLike) -> np.ndarray:
    """Whole numbers of steps without repeats."""
    counts = np.rint(np.asarray(steps, np.float64))
    if counts.ndim != 1 or counts.size < 2 or counts[0] != 0 or (np.diff(counts) < 0).any():
        raise ValueError(
            f"steps has shape {counts.shape} and starts with {counts.ravel()[:2]}: give two or more numbers of steps, "
            "starting at 0 and increasing."
        )
    if counts[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"steps ends at {counts[-1]:.6g}: schedules of the step count to 2147483647; give fewer.")
    return np.unique(counts)


def _rates_at(learning_rate: Any, counts: np.ndarray) -> np.ndarray:
    """The learning rate after each of `counts` steps."""
    if not callable(learning_rate):
        check_scalar("learning_rate", learning_rate)
        return np.full(counts.size, float(learning_rate))
    at = lambda count: setting_at("learning_rate", learning_rate, count, jnp.result_type(float))
    with jax.ensure_compile_time_eval():  # a grid is made of numbers, also where a run is being traced
        rates = jax.vmap(at)(jnp.asarray(counts, jnp.int32))
    if not is_concrete(rates):
        raise ValueError("learning_rate depends on numbers that are traced, and times are constants: give its numbers.")
    return np.asarray(rates, np.float64)


def _means(learning_rate: Callable, counts: np.ndarray) -> np.ndarray:
    """The mean learning rate over each interval, in float64."""
    points = [
        first + np.arange(length)
        if length <= _AVERAGED
        else np.floor(first + (np.arange(_AVERAGED) + 0.5) * length / _AVERAGED)
        for first, length in zip(counts[:-1], np.diff(counts).astype(int), strict=True)
    ]
    rates = _rates_at(learning_rate, np.concatenate(points))
    ends = np.cumsum([len(part) for part in points])[:-1]
    return np.array([part.mean() for part in np.split(rates, ends)])
