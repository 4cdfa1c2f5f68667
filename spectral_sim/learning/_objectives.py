"""What a search minimises: functions of a run's loss curve and of what its weights cost."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_entries, check_positive, is_concrete
from .._observation import Observation
from .._trajectory import Trajectory
from .._types import Array, Float, PerWeight, as_inexact
from .._where import where
from ..analysis import inside


class AbstractObjective(eqx.Module):
    """A number to be made small, which does not fall where a loss of the run rises.

    Times are those of the refresh grid; for dynamics with steps they are numbers of steps.

    Required: `__call__`. Class attributes that may be overridden:
        needs_weights: whether the value depends on `save_costs` records, not on the loss curve alone.
        measures: what it is the logarithm of, "loss" or "time".
    """

    needs_weights: ClassVar[bool] = False
    measures: ClassVar[str] = "loss"

    def check(self, times: np.ndarray, floor: float) -> None:
        """Raise before a long search if it cannot be evaluated on `times`, or never met above the reachable `floor`.

        Arguments:
            times: refresh grid, shape (times,).
            floor: the least loss that any parameters reach.
        """
        return None

    @property
    def plain(self) -> "AbstractObjective":
        """The objective without penalties, by which schedules are compared with each other and with a bound."""
        return self

    @abc.abstractmethod
    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        """The value of a run.

        Arguments:
            trajectory: one run.
        """


class TerminalLogLoss(AbstractObjective):
    """Log loss at the end of the run: one horizon."""

    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        return jnp.log(trajectory.loss[-1])


class AnytimeLogLoss(AbstractObjective):
    """Mean log loss over a window of log time (of steps, where the dynamics takes them): good at every horizon in it.

    Arguments:
        window: first and last time; all times after the start if None.
    """

    window: tuple[float, float] | None = eqx.field(static=True, default=None)

    def check(self, times: np.ndarray, floor: float) -> None:
        low, high = (times[1], times[-1]) if self.window is None else self.window
        if not times[1] <= low < high <= times[-1] * (1 + 1e-9):
            raise ValueError(
                f"window={self.window} is not within the times {times[1]:.6g} to {times[-1]:.6g}: move it inside."
            )
        if np.sum(inside(times, (low, high))) < 2:
            raise ValueError(f"window={self.window} holds fewer than two refreshes: widen it, or use a denser grid.")

    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        weight = log_time_weights(trajectory.grid, self.window)
        # a loss that has underflowed outside the window must not spoil what is inside it
        counted = where(weight > 0, trajectory.loss, 1)
        return jnp.sum(weight * jnp.log(counted))


class SoftTimeToTarget(AbstractObjective):
    """Log of the time for which the loss stays above a target, softened so that it has a gradient.

    log t_1 + int sigmoid((log L - log target) / softness) d log t, from the first refresh after the start on.

    Arguments:
        target: loss to be reached.
        softness: width of the transition, in e-folds of the loss.
    """

    measures: ClassVar[str] = "time"
    target: Float[Array, ""] = eqx.field(converter=as_inexact)
    softness: Float[Array, ""] = eqx.field(converter=as_inexact, default=0.1)

    def __check_init__(self) -> None:
        check_positive("target", self.target)
        check_positive("softness", self.softness)

    def check(self, times: np.ndarray, floor: float) -> None:
        if is_concrete(self.target) and float(self.target) <= floor:
            raise ValueError(
                f"target is {float(self.target):.6g}, not above {floor:.6g}, the least loss that any parameters reach: "
                "no schedule can meet it; raise it."
            )

    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        log_time = jnp.log(trajectory.grid[1:])
        above = jax.nn.sigmoid((jnp.log(trajectory.loss[1:]) - jnp.log(self.target)) / self.softness)
        return log_time[0] + jnp.sum((above[1:] + above[:-1]) / 2 * jnp.diff(log_time))


class Penalised(AbstractObjective):
    """An objective plus what the weights cost; each term is a mean over the intervals of the run.

    Arguments:
        objective: what is to be made small in the first place.
        divergence: price of the Kullback-Leibler divergence of the sampling distribution from the base measure, nats.
        smoothness: price of the squared change of sampling probabilities from refresh to refresh, sum p (w' - w)^2.
        sample_size: price of 1 / effective sample size, the variance inflation E[w^2] of reweighted estimates.
        scoring: price of looking at the residual where weights move: 1 - exp(-sum p |w' - w|), one refresh costing 1.
    """

    needs_weights: ClassVar[bool] = True
    objective: AbstractObjective
    divergence: float = eqx.field(static=True, default=0.0)
    smoothness: float = eqx.field(static=True, default=0.0)
    sample_size: float = eqx.field(static=True, default=0.0)
    scoring: float = eqx.field(static=True, default=0.0)

    @property
    def measures(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.objective.measures

    @property
    def plain(self) -> "AbstractObjective":
        return self.objective.plain

    def check(self, times: np.ndarray, floor: float) -> None:
        for name in ("divergence", "smoothness", "sample_size", "scoring"):
            check_entries(name, getattr(self, name), lambda x: x >= 0, "a penalty is not negative")
        self.objective.check(times, floor)

    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        mass, weights = trajectory.saved["mass"][0], trajectory.saved["weights"][:-1]
        entropy = weights * jnp.log(jnp.maximum(weights, jnp.finfo(weights.dtype).tiny))
        change = jnp.diff(weights, axis=0)
        terms = (
            self.divergence * jnp.mean(jnp.sum(mass * entropy, axis=1)),
            self.smoothness * jnp.sum(mass * change**2) / len(weights),
            self.sample_size * jnp.mean(jnp.sum(mass * weights**2, axis=1)),
            self.scoring * jnp.sum(-jnp.expm1(-jnp.sum(mass * jnp.abs(change), axis=1))) / len(weights),
        )
        return self.objective(trajectory) + sum(terms)


def save_costs(observation: Observation, weights: PerWeight) -> Any:
    """Record what `Penalised` needs: weights, shape (times, weights), and the measure they have mean one under.

    Arguments:
        observation: of the learner.
        weights: in force, shape (weights,).
    """
    return {"weights": weights, "mass": observation.mass}


def log_time_weights(times: Float[Array, "times"], window: tuple[float, float] | None) -> Float[Array, "times"]:
    """Trapezium weights of a mean over log time; zero outside the window and at time 0, summing to one."""
    times = jax.lax.stop_gradient(times)
    low, high = (times[1], times[-1]) if window is None else window
    inside = (times > 0) & (times >= low * (1 - 1e-6)) & (times <= high * (1 + 1e-6))
    log_time = jnp.log(where(times > 0, times, 1))
    both = inside[1:] & inside[:-1]
    step = where(both, jnp.diff(log_time), 0) / 2
    weight = jnp.zeros_like(times).at[1:].add(step).at[:-1].add(step)
    return weight / jnp.sum(weight)
