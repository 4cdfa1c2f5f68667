"""Learning rate, batch size and noise of dynamics with steps: numbers, tables, or functions of the step."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_entries, check_non_negative, check_scalar, concrete, is_concrete
from .._types import Array, Float, Int, PerRefresh, Ranges, as_inexact
from ._base import AbstractDynamics

Setting = Any  # a scalar, a PerRefresh table of scalars, an array of one number a step, or a function of the step
_SAMPLED = 4096

SETTING_FAULTS = (
    "bad learning rate: learning_rate is {limit}; give a finite rate of zero or above",
    "batch below one: batch_size is {limit}; a batch has at least one example",
    "bad noise: noise_variance / batch_size + noise_strength is {limit}; give variances of zero or above",
)
UNSTABLE = (
    "unstable learning rate: the learning rate is above the limit of stability; the largest stable value is {limit}"
)
TOO_MANY = (
    "too many steps: the interval takes more steps than the dynamics allows; the longest that it can run is {limit} "
    "steps: refresh more often, or allow more by max_steps"
)


def as_setting(value: Any) -> Setting:
    """A function of the step passes; anything else becomes an inexact array."""
    return value if callable(value) else as_inexact(value)


def check_settings(learning_rate: Setting, batch_size: Setting, noise_variance: Setting, noise_strength: Any) -> None:
    """Raise on the first value that no run could use; functions of the step are checked as they are evaluated."""
    for name, value, fix in (
        ("learning_rate", learning_rate, "give a step in units of time, a table, or a function of the step"),
        ("batch_size", batch_size, "give a number of examples, inf for full gradients"),
        ("noise_variance", noise_variance, "give sigma^2, 0 for labels without noise"),
        ("noise_strength", noise_strength, "give sigma^2 / B, 0 for labels without noise"),
    ):
        if value is None:
            raise ValueError(f"{name} is None: {fix}.")
        if name.startswith("noise") and callable(value):
            raise ValueError(f"{name} is a function: give a number or a PerRefresh table.")
    if not callable(learning_rate):
        check_non_negative("learning_rate", learning_rate, "give a step in units of time")
    if not callable(batch_size):
        check_entries("batch_size", batch_size, lambda x: x >= 1, "a batch has at least one example; give 1 or more")
    check_non_negative("noise_variance", noise_variance, "give sigma^2, the variance of the label noise")
    check_non_negative("noise_strength", noise_strength, "give sigma^2 / B, the strength of the label noise")
    if (
        is_concrete(noise_variance, noise_strength)
        and concrete(noise_variance).any()
        and concrete(noise_strength).any()
    ):
        raise ValueError(
            f"noise_variance is {np.max(concrete(noise_variance)):.6g} and noise_strength "
            f"{np.max(concrete(noise_strength)):.6g}: give one; the strength is the variance divided by batch_size."
        )


def no_steps() -> Int[Array, ""]:
    """The number of steps taken at the start."""
    return jnp.zeros((), jnp.result_type(int))


def over_intervals(dynamics: Any, steps: Any, *, batch: bool = True) -> tuple[Any, Float[Array, "intervals"]]:
    """The dynamics with one rate (and one batch) for each interval of a grid of steps, and the time of each interval.

    Over an interval a rate is its mean over the steps. A batch is its harmonic mean, since the noise of a step goes
    with 1 / B.
    """
    number, counts = len(steps) - 1, jnp.diff(jnp.asarray(steps))
    rate = _by_interval("learning_rate", dynamics.learning_rate, steps, 0, lambda x: x)
    dynamics = eqx.tree_at(lambda d: d.learning_rate, dynamics, rate)
    if batch:
        size = _by_interval("batch_size", dynamics.batch_size, steps, 1, lambda x: 1 / x)
        dynamics = eqx.tree_at(lambda d: d.batch_size, dynamics, size)
    rates = rate.over(number) if isinstance(rate, PerRefresh) else rate
    return dynamics, jnp.broadcast_to(rates, (number,)) * counts


def _by_interval(name: str, setting: Setting, steps: Any, least: float, scale: Callable[[Array], Array]) -> Setting:
    """A number or a table as it is; of a function of the step, or of one number a step, the mean over each interval.

    Arguments:
        name: what the setting is called.
        setting: any `Setting`.
        steps: the grid, shape (times,).
        least: the least value that a run can use.
        scale: the mean is taken of `scale(value)`; its own inverse.
    """
    if isinstance(setting, PerRefresh):
        check_scalar(name, setting.values[0])
        return setting
    if not callable(setting) and np.ndim(setting) != 1:
        check_scalar(name, setting)
        return setting
    if not is_concrete(steps):
        raise ValueError(
            f"{name} is given for every step, and the refresh grid is traced: close over the grid, a constant of the "
            "run, or give a number or a PerRefresh table."
        )
    lengths = np.diff(steps)
    if callable(setting):
        values, sampled = _sample(name, setting, steps, least)
    elif setting.shape[0] < steps[-1]:
        raise ValueError(
            f"{name} has shape {setting.shape}, one number a step, but the grid ends at step {steps[-1]}: give as "
            "many, a PerRefresh table with one for each refresh, or vmap over several values."
        )
    else:
        values, sampled = setting[: steps[-1]], lengths
    scaled = scale(values)
    first = scaled[np.cumsum(sampled) - sampled]  # means are taken relative to it: that of a constant is exact
    owner = np.repeat(np.arange(lengths.size), sampled)
    change = jax.ops.segment_sum(scaled - first[owner], owner, lengths.size, indices_are_sorted=True)
    return PerRefresh(scale(first + change / jnp.asarray(sampled, scaled.dtype)))


def _sample(name: str, setting: Callable, steps: np.ndarray, least: float) -> tuple[Array, np.ndarray]:
    """A function at every step, or at 4,096 evenly spread in a longer interval; how many there are in each."""
    lengths = np.diff(steps)
    sampled = np.minimum(lengths, _SAMPLED)
    place = np.arange(sampled.sum()) - np.repeat(np.cumsum(sampled) - sampled, sampled)
    spread = np.floor((place + 0.5) * np.repeat(lengths / sampled, sampled)).astype(np.int64)
    points = np.repeat(steps[:-1], sampled) + np.where(np.repeat(lengths, sampled) > _SAMPLED, spread, place)

    def value(step):
        found = setting(step)
        check_scalar(name, found)
        return jnp.asarray(found, jnp.result_type(float))

    with jax.ensure_compile_time_eval():  # or a compiler would fold as many constants
        values = jax.vmap(value)(jnp.asarray(points, jnp.result_type(int)))
    if is_concrete(values):
        bad = ~(np.asarray(values) >= least)
        if bad.any():
            n = int(np.argmax(bad))
            raise ValueError(
                f"{name} is {float(values[n]):.6g} at step {points[n]}: give a function that is {least:g} or above "
                "throughout the run."
            )
    return values, sampled


class AbstractStepDynamics(AbstractDynamics):
    """Dynamics with steps of a learning rate, a batch size and label noise, each of them a setting.

    The fields that `ranges` names are those of its subclasses, in an order of their own.
    """

    adjoint: ClassVar[str] = "stored"  # an interval holds many steps
    clock: ClassVar[str] = "steps"
    ranges: ClassVar[Ranges] = {
        "learning_rate": (0.0, None),
        "batch_size": (1.0, None),
        "noise_variance": (0.0, None),
        "noise_strength": (0.0, None),
    }

    def __check_init__(self: Any) -> None:
        check_settings(self.learning_rate, self.batch_size, self.noise_variance, self.noise_strength)

    def on_steps(self, steps: Any) -> tuple[Any, Float[Array, "intervals"]]:
        return over_intervals(self, steps)

    def _in_force(self: Any, dtype: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Learning rate and 1 / batch size of the interval at hand; raises unless each setting is one number."""
        for name in self.ranges:
            check_scalar(name, getattr(self, name))
        return jnp.asarray(self.learning_rate, dtype), 1 / jnp.asarray(self.batch_size, dtype)

    def _noise_per_step(self: Any, inverse_batch: Float[Array, ""]) -> Float[Array, ""]:
        """sigma^2 / B, from whichever of its two forms is given."""
        return self.noise_variance * inverse_batch + self.noise_strength


def setting_faults(rate: Array, inverse_batch: Array, noise: Array) -> tuple[tuple[Array, Array], ...]:
    """Of values that were traced when they were given: what `check` says of each of `SETTING_FAULTS`."""
    return (
        (~((rate >= 0) & jnp.isfinite(rate)), rate),
        (~((inverse_batch >= 0) & (inverse_batch <= 1)), 1 / inverse_batch),
        (~((noise >= 0) & jnp.isfinite(noise)), noise),
    )
