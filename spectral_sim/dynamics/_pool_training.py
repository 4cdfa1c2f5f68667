"""SGD on a finite pool of examples: one run of it, with real mini-batches."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_whole
from .._observation import Observation
from .._types import Array, Float, Int, PerWeight, PRNGKeyArray, PyTree
from .._where import where
from ..numerics import repeat
from ..problems import OperatorProblem
from ._base import AbstractDynamics, require, shown
from ._pool_draws import check_draw, draw_law, draw_table, key_of_step
from ._sgd_settings import (
    SETTING_FAULTS,
    TOO_MANY,
    AbstractStepDynamics,
    Setting,
    as_setting,
    no_steps,
    over_intervals,
    setting_faults,
)


class TrainingState(eqx.Module):
    """Parameters after some steps.

    Arguments:
        parameters: theta, shape (features, outputs).
        residual: targets minus outputs, shape (examples, outputs).
        steps: number of steps taken, scalar.
    """

    parameters: Float[Array, "features outputs"]
    residual: Float[Array, "examples outputs"]
    steps: Int[Array, ""]


class PoolTraining(AbstractStepDynamics):
    """Monte Carlo of `PoolMoments`: mini-batches drawn from the examples of a data problem, at any size.

    A step draws batch_size examples with replacement and costs O(batch features outputs). Many seeds at once are a
    batch over keys, each with weights that see its own run:

        losses = jax.vmap(lambda key: simulate(problem, schedule, times, dynamics=dynamics, key=key).loss)(keys)

    Derivatives are taken at the draws: they see the factor on a gradient ("weighted", "corrected") and the learning
    rate, not the chance of being drawn. Differentiate `PoolMoments` for that.

    Arguments:
        learning_rate: eta, in units of time: a number, a `PerRefresh` table, an array with one number for each step, or
            a function of the step; see `SGDMoments`.
        batch_size: B, a whole number, which shapes the arrays.
        noise_variance: sigma^2 of fresh noise on the label of every draw and output.
        draw: "sampled", "weighted" or "corrected"; see `PoolMoments`.
        max_steps: the most steps that an interval may take.
        noise_strength: sigma^2 / B, in place of the variance.

    Raises:
        ValueError: as for `PoolMoments`, or a batch that is not a whole number.
    """

    needs_key: ClassVar[bool] = True
    faults: ClassVar[tuple[str, ...]] = (*SETTING_FAULTS, TOO_MANY)
    learning_rate: Setting = eqx.field(converter=as_setting)
    batch_size: int = eqx.field(static=True, default=1)
    noise_variance: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)
    draw: str = eqx.field(static=True, default="sampled")
    max_steps: int = eqx.field(static=True, default=1023)
    noise_strength: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)

    def __check_init__(self) -> None:
        check_whole("batch_size", self.batch_size, "it shapes the arrays; PoolMoments takes tables and schedules of it")
        check_draw(self.draw)
        check_whole("max_steps", self.max_steps, "allow at least one step in an interval")

    def init(self, problem: Any) -> PyTree:
        require(problem, OperatorProblem, self)
        parameters = problem.initial_parameters
        return TrainingState(parameters, problem.targets - problem.features @ parameters, no_steps())

    def on_steps(self, steps: Any) -> tuple["AbstractDynamics", Float[Array, "intervals"]]:
        return over_intervals(self, steps, batch=False)

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        if key is None:
            raise ValueError("PoolTraining draws random numbers: pass a key.")
        rate, inverse_batch = self._in_force(problem.dtype)
        law, factor = draw_law(self.draw, problem, weights)
        table = draw_table(jax.lax.stop_gradient(law))
        variance = self._noise_per_step(inverse_batch) * int(self.batch_size)
        noisy = variance > 0
        spread = where(noisy, jnp.sqrt(where(noisy, variance, 1)), 0)  # finite slope at zero
        shape = (int(self.batch_size), problem.targets.shape[1])
        step_key = key_of_step(key)

        def one_step(carry):
            parameters, index = carry
            draw_key, noise_key = jax.random.split(step_key(index))
            drawn = table.draw(draw_key, shape[0])
            features = problem.features[drawn]
            residual = problem.targets[drawn] - features @ parameters
            residual += spread * jax.random.normal(noise_key, shape, residual.dtype)
            move = features.T @ (factor[drawn][:, None] * residual)
            return parameters + (rate / shape[0]) * move, index + 1

        count = jnp.minimum(duration, self.max_steps).astype(jnp.int32)
        start = state.parameters, jnp.zeros((), jnp.int32)
        parameters, _ = repeat(one_step, start, count, int(self.max_steps))
        return TrainingState(parameters, problem.targets - problem.features @ parameters, state.steps + duration)

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        energy = problem.per_weight(jnp.sum(state.residual**2, axis=1))
        loss = problem.training_loss(energy) if problem.eval_features is None else problem.loss(state.parameters)
        return shown(time, energy, loss, state)

    def check(self, problem: Any, state: PyTree, weights: PerWeight, duration: Array) -> Sequence[tuple[Array, Any]]:
        rate, inverse_batch = self._in_force(problem.dtype)
        settings = setting_faults(rate, inverse_batch, self._noise_per_step(inverse_batch))
        return *settings, (duration > self.max_steps, self.max_steps)
