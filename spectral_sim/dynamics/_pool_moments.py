"""SGD on a finite pool of examples: the exact second moments of the parameters."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_whole
from .._observation import Observation
from .._types import Array, Float, Int, PerWeight, PRNGKeyArray, PyTree
from .._where import where
from ..numerics import batch_max, repeat, without_derivative
from ..problems import OperatorProblem
from ._base import require, shown
from ._pool_draws import check_draw, draw_law
from ._sgd_settings import (
    SETTING_FAULTS,
    TOO_MANY,
    UNSTABLE,
    AbstractStepDynamics,
    Setting,
    as_setting,
    no_steps,
    setting_faults,
)

_POWER_STEPS = 64


class PoolState(eqx.Module):
    """Distribution of the parameters over draws of batches, as far as losses depend on it.

    Arguments:
        parameters: their mean, shape (features, outputs).
        covariance: of the parameters of each output, shape (outputs, features, features).
        residual: targets minus outputs at the mean parameters, shape (examples, outputs).
        steps: number of steps taken, scalar.
    """

    parameters: Float[Array, "features outputs"]
    covariance: Float[Array, "outputs features features"]
    residual: Float[Array, "examples outputs"]
    steps: Int[Array, ""]


class PoolMoments(AbstractStepDynamics):
    """Expected residual energies of SGD whose batches are drawn from the examples of a data problem, step for step.

    A step draws B examples by themselves, with replacement, from d and moves
    theta += (eta / B) sum_b mu_b phi_b (y_b + noise - phi_b theta). The labels are fixed and need not be realisable.
    With m and S the mean and the covariance of theta, r = y - phi m,

        m <- m + eta g ,   g = sum_i d_i mu_i phi_i r_i ,   M = sum_i d_i mu_i phi_i phi_i^T
        S <- (1 - eta M) S (1 - eta M)
             + (eta^2 / B) [ sum_i d_i mu_i^2 (r_i^2 + phi_i^T S phi_i + sigma^2) phi_i phi_i^T - g g^T - M S M ]

    is exact. Small steps give `OperatorFlow`. Three laws, all with weights w and base mass p:

    - "sampled": d = p w, mu = 1. Curation as sampling.
    - "weighted": d = p, mu = w. The same mean step with other noise: examples are reweighted after they are drawn.
    - "corrected": d = p w, mu = 1 / w. Importance sampling: the mean step is that of uniform weights, whatever w; an
      example of weight zero is never seen.

    A step costs O(outputs (examples features^2 + features^3)); meant for up to 512 features. Above, `PoolTraining`.
    Weights that depend on what is observed see expected energies here, those of their own run there; a teacher's
    distance is taken from the mean parameters.

    The refresh grid counts steps, as in `SGDMoments`. A rate of at most 2 / max_i mu_i |phi_i|^2 is stable.
    A larger one is called unstable once a Rayleigh quotient of the step, in the course of 64 power iterations, is above
    one: it then is, for certain. `Trajectory.limit` is the rate at which that quotient is one: the largest stable rate
    where the iterations have converged, and never below it; growth that is slow beside 64 steps may pass unnoticed.

    Arguments:
        learning_rate: eta, in units of time: a number, a `PerRefresh` table, an array with one number for each step, or
            a function of the step; see `SGDMoments`.
        batch_size: B, likewise, at least 1; infinity is full gradients.
        noise_variance: sigma^2 of fresh noise on the label of every draw and output.
        draw: "sampled", "weighted" or "corrected".
        max_steps: the most steps that an interval may take.
        noise_strength: sigma^2 / B, in place of the variance.

    Raises:
        ValueError: an unknown law, a negative learning rate, a batch below 1, negative noise, or noise given in both
            ways.
    """

    faults: ClassVar[tuple[str, ...]] = (*SETTING_FAULTS, TOO_MANY, UNSTABLE)
    learning_rate: Setting = eqx.field(converter=as_setting)
    batch_size: Setting = eqx.field(converter=as_setting, default=1.0)
    noise_variance: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)
    draw: str = eqx.field(static=True, default="sampled")
    max_steps: int = eqx.field(static=True, default=1023)
    noise_strength: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)

    def __check_init__(self) -> None:
        check_draw(self.draw)
        check_whole("max_steps", self.max_steps, "allow at least one step in an interval")

    def init(self, problem: Any) -> PyTree:
        require(problem, OperatorProblem, self)
        parameters = problem.initial_parameters
        features, outputs = parameters.shape
        return PoolState(
            parameters,
            jnp.zeros((outputs, features, features), problem.dtype),
            problem.targets - problem.features @ parameters,
            no_steps(),
        )

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        rate, inverse_batch = self._in_force(problem.dtype)
        noise = self._noise_per_step(inverse_batch)
        law, factor = draw_law(self.draw, problem, weights)
        features = problem.features
        drawn, terms = _drawn(features, law, factor), _covariance_terms(features, law, factor, inverse_batch)

        def fluctuate(covariance, residual, drift):
            """The covariance of one output after a step, of which `drift` is the mean."""
            linear, quadratic = terms(covariance, inverse_batch * residual**2 + noise)
            return covariance - rate * linear + rate**2 * (quadratic - inverse_batch * jnp.outer(drift, drift))

        def one_step(carry):
            parameters, covariance = carry
            residual = problem.targets - features @ parameters
            drift = drawn.T @ residual
            return parameters + rate * drift, jax.vmap(fluctuate, (0, 1, 1))(covariance, residual, drift)

        count = jnp.minimum(duration, self.max_steps).astype(jnp.int32)
        parameters, covariance = repeat(one_step, (state.parameters, state.covariance), count, int(self.max_steps))
        residual = problem.targets - features @ parameters
        return PoolState(parameters, covariance, residual, state.steps + duration)

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        energy = problem.per_weight(_expected_squares(problem.features, state.residual, state.covariance))
        if problem.eval_features is None:
            loss = problem.training_loss(energy)
        else:
            features, targets, mass = problem.evaluation
            loss = 0.5 * mass @ _expected_squares(features, targets - features @ state.parameters, state.covariance)
        return shown(time, energy, loss, state)

    def check(self, problem: Any, state: PyTree, weights: PerWeight, duration: Array) -> Sequence[tuple[Array, Any]]:
        rate, inverse_batch = self._in_force(problem.dtype)
        law, factor = draw_law(self.draw, problem, weights)
        # below this rate every draw by itself is a contraction, and there is nothing to find out
        longest = jnp.max(where(law > 0, factor * jnp.sum(problem.features**2, axis=1), 0))
        largest = jax.lax.cond(
            batch_max(rate * longest > 2),
            lambda: _rate_bound(problem.features, law, factor, rate, inverse_batch),
            lambda: jnp.full_like(rate, jnp.inf),
        )
        return (
            *setting_faults(rate, inverse_batch, self._noise_per_step(inverse_batch)),
            (duration > self.max_steps, self.max_steps),
            (rate > largest * (1 + 64 * jnp.finfo(rate.dtype).eps), largest),
        )


def _quadratic(features: Array, covariance: Array) -> Float[Array, "examples"]:
    """phi_i^T S phi_i, the variance of a prediction; rounding may leave it below zero."""
    # jaxlib on CPUs (0.10.2, 0.11.2) sums memory never written where a product that is zero at compile time is summed
    # at once; behind the barrier the product is an array of its own
    product = jax.lax.optimization_barrier(features @ covariance)
    return jnp.maximum(jnp.sum(product * features, axis=1), 0)


def _drawn(features: Array, law: Array, factor: Array) -> Float[Array, "examples features"]:
    """Features as they come into the mean gradient."""
    return (law * factor)[:, None] * features


def _covariance_terms(features: Array, law: Array, factor: Array, inverse_batch: Array) -> Callable[[Array, Any], Any]:
    """(covariance, noise that does not come of it) -> what a step moves it by: eta x the first, eta^2 x the second.

    Both are exactly symmetric: the antisymmetric part of rounding would grow from step to step.
    """
    operator, noisy = features.T @ _drawn(features, law, factor), _drawn(features, law, factor**2)

    def terms(covariance, noise):
        moved = operator @ covariance
        noise = noise + inverse_batch * _quadratic(features, covariance)
        spread = noisy.T @ (noise[:, None] * features) + (1 - inverse_batch) * (moved @ operator)
        return moved + moved.T, (spread + spread.T) / 2

    return terms


def _expected_squares(features: Array, residual: Array, covariance: Array) -> Float[Array, "examples"]:
    """E |y_i - phi_i theta|^2, summed over outputs, from the residual of the mean parameters."""
    variance = jax.vmap(_quadratic, (None, 0))(features, covariance)
    return jnp.sum(residual**2, axis=1) + jnp.sum(variance, axis=0)


def _rate_bound(features: Array, law: Array, factor: Array, rate: Array, inverse_batch: Array) -> Array:
    """The largest stable rate, from above: what is returned is never below it.

    The step of the covariance, T(C) = C - eta (M C + C M) + eta^2 Q(C), is self-adjoint and keeps C positive, so
    <C, T C> / <C, C> = 1 - eta b + eta^2 a is below the spectral radius for every C: above eta = b / a the radius is
    above one. C is made the leading one by power iteration, at the least rate found so far. It begins as the noise of
    the gradients, in which rare outliers count.
    """
    features, law, factor, rate, inverse_batch = (
        without_derivative(x) for x in (features, law, factor, rate, inverse_batch)
    )
    terms = _covariance_terms(features, law, factor, inverse_batch)

    def power(_, carry):
        covariance, rate = carry
        linear, quadratic = terms(covariance, 0.0)
        bound = jnp.sum(covariance * linear) / jnp.sum(covariance * quadratic)
        rate = jnp.minimum(rate, bound)
        moved = covariance - rate * linear + rate**2 * quadratic
        return moved / jnp.maximum(jnp.trace(moved), jnp.finfo(moved.dtype).tiny), rate

    noise = inverse_batch * _drawn(features, law, factor**2).T @ (jnp.sum(features**2, axis=1)[:, None] * features)
    start = features.T @ _drawn(features, law, factor) + noise
    start = start / jnp.maximum(jnp.trace(start), jnp.finfo(start.dtype).tiny)
    return jax.lax.fori_loop(0, _POWER_STEPS, power, (start, rate))[1]
