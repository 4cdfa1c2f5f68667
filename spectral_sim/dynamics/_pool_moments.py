"""SGD on a finite pool of examples: the exact second moments of the parameters."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_positive
from .._observation import Observation
from .._status import Status
from .._types import Array, Float
from ..numerics import log_or_minus_inf, repeat
from ..problems import OperatorProblem
from ._base import AbstractDynamics, Verdict, require
from ._pool_draws import check_draw, draw_law, steps_verdict
from ._sgd_settings import Setting, as_setting, check_settings, setting_at, whole_steps

_POWER_STEPS = 8


class PoolState(eqx.Module):
    """E[(theta, 1) (theta, 1)^T] of each output (outputs, features + 1, features + 1), and the steps taken."""

    moments: Float[Array, "outputs augmented augmented"]
    steps: Float[Array, ""]


class PoolMoments(AbstractDynamics):
    """Expected residual energies of SGD whose batches are drawn from the examples of a data problem, step for step.

    A step draws B examples by themselves, with replacement, from d and moves
    theta += (eta / B) sum_b mu_b phi_b (y_b + noise - phi_b theta). The labels are fixed and need not be realisable:
    with (theta, 1) in place of theta the residual is linear, y_i - phi_i theta = psi_i . (theta, 1), and

        S <- S + eta (M S + S M^T) + eta^2 [ (1/B) sum_i d_i mu_i^2 (psi_i^T S psi_i + sigma^2) phi_i phi_i^T
             + (1 - 1/B) M S M^T ] ,   M = sum_i d_i mu_i phi_i psi_i^T ,

    is exact. Small steps give `OperatorFlow`. Three laws, all with weights w and base mass p:

    - "sampled": d = p w, mu = 1. Curation as sampling.
    - "weighted": d = p, mu = w. The same mean step with other noise: examples are reweighted after they are drawn.
    - "corrected": d = p w, mu = 1 / w. Importance sampling: the mean step is that of uniform weights, whatever w; an
      example of weight zero is never seen.

    A step costs O(outputs (examples features^2 + features^3)); meant for up to 512 features. Above, `PoolTraining`.
    Weights that depend on what is observed see expected energies here, those of their own run there.

    Every interval is a whole number of steps, as in `SGDMoments`. A rate is called unstable once a Rayleigh quotient of
    the step, after 8 power iterations, is above one: it then is, for certain. `Trajectory.limit` is the rate at which
    that quotient is one, which no stable rate exceeds; slow growth may pass unnoticed.

    Arguments:
        learning_rate: eta, in units of time: a number, a `PerRefresh` table, or a function of the step.
        batch_size: B, likewise, at least 1.
        noise_variance: sigma^2 of fresh noise on the label of every draw and output.
        draw: "sampled", "weighted" or "corrected".
        max_steps: the most steps that an interval may take.

    Raises:
        ValueError: an unknown law, a learning rate that is not positive, a batch below 1, or a negative variance.
    """

    adjoint: ClassVar[str] = "stored"  # an interval holds many steps
    learning_rate: Setting = eqx.field(converter=as_setting)
    batch_size: Setting = eqx.field(converter=as_setting, default=1.0)
    noise_variance: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)
    draw: str = eqx.field(static=True, default="sampled")
    max_steps: int = eqx.field(static=True, default=1023)

    def __check_init__(self):
        check_settings(self.learning_rate, self.batch_size, self.noise_variance)
        check_draw(self.draw)
        check_positive("max_steps", self.max_steps, "allow at least one step in an interval")

    def init(self, problem):
        require(problem, OperatorProblem, self)
        theta = problem.initial_parameters.T
        augmented = jnp.concatenate([theta, jnp.ones((theta.shape[0], 1), problem.dtype)], axis=1)
        return PoolState(augmented[:, :, None] * augmented[:, None, :], jnp.zeros((), problem.dtype))

    def advance(self, problem, state, weights, duration, key):
        rate, batch = self._at(state)
        steps, _ = whole_steps(duration, rate)
        law, factor = draw_law(self.draw, problem, weights)
        features = problem.features
        drawn, noisy = (law * factor)[:, None] * features, (law * factor**2)[:, None] * features

        def one_step(moments, targets):
            residual = _residual_form(features, targets)
            drift = drawn.T @ residual
            moved = drift @ moments
            energy = jnp.sum((residual @ moments) * residual, axis=1) + self.noise_variance
            spread = noisy.T @ (energy[:, None] * features) / batch + (1 - 1 / batch) * (moved @ drift.T)
            change = rate * jnp.pad(moved, ((0, 1), (0, 0)))
            return moments + change + change.T + rate**2 * jnp.pad(spread, ((0, 1), (0, 1)))

        each_output = jax.vmap(one_step, in_axes=(0, 1))
        count = jnp.minimum(steps, self.max_steps).astype(jnp.int32)
        moments = repeat(
            lambda moments: each_output(moments, problem.targets), state.moments, count, self.max_steps.bit_length()
        )
        return PoolState(moments, state.steps + steps)

    def observe(self, problem, state, time):
        energy = problem.per_weight(_expected_squares(problem.features, problem.targets, state.moments))
        if problem.eval_features is None:
            loss = problem.training_loss(energy)
        else:
            features, targets, mass = problem.evaluation
            loss = 0.5 * jnp.sum(mass * _expected_squares(features, targets, state.moments))
        return Observation(time=time, energy=energy, log_energy=log_or_minus_inf(energy), loss=loss, state=state)

    def check(self, problem, state, weights, duration):
        rate, batch = self._at(state)
        verdict = steps_verdict(duration, rate, batch, self.noise_variance, self.max_steps)
        largest = _rate_bound(problem.features, *draw_law(self.draw, problem, weights), rate, batch)
        unstable = (verdict.code == Status.OK) & (rate > largest)
        code = jnp.where(unstable, Status.UNSTABLE_LEARNING_RATE, verdict.code)
        return Verdict(code, jnp.where(unstable, largest, verdict.limit))

    def _at(self, state):
        return setting_at(self.learning_rate, state.steps), setting_at(self.batch_size, state.steps)


def _residual_form(features: Array, targets: Array) -> Float[Array, "examples augmented"]:
    """psi_i = (-phi_i, y_i): the residual as a linear form of (theta, 1)."""
    return jnp.concatenate([-features, targets[:, None]], axis=1)


def _expected_squares(features: Array, targets: Array, moments: Array) -> Float[Array, "examples"]:
    """E |y_i - phi_i theta|^2, summed over outputs; rounding may leave a square below zero."""

    def one(moments, targets):
        residual = _residual_form(features, targets)
        return jnp.sum((residual @ moments) * residual, axis=1)

    return jnp.maximum(jnp.sum(jax.vmap(one, in_axes=(0, 1))(moments, targets), axis=0), 0)


def _rate_bound(features: Array, law: Array, factor: Array, rate: Array, batch: Array) -> Array:
    """A rate that no stable one exceeds.

    The step of the covariance, T(C) = C - eta (M C + C M) + eta^2 Q(C), is self-adjoint and keeps C positive, so
    <C, T C> / <C, C> = 1 - eta b + eta^2 a is below the spectral radius for every C: above eta = b / a the radius is
    above one. Power iteration makes the bound tight.
    """
    operator = (law * factor)[:, None] * features
    operator = features.T @ operator
    noisy = (law * factor**2)[:, None] * features

    def parts(covariance):
        energy = jnp.sum((features @ covariance) * features, axis=1)
        drift = operator @ covariance
        return drift + drift.T, noisy.T @ (energy[:, None] * features) / batch + (1 - 1 / batch) * (drift @ operator)

    def power(_, covariance):
        linear, quadratic = parts(covariance)
        moved = covariance - rate * linear + rate**2 * quadratic
        return moved / jnp.maximum(jnp.trace(moved), jnp.finfo(moved.dtype).tiny)

    start = operator / jnp.maximum(jnp.trace(operator), jnp.finfo(operator.dtype).tiny)
    covariance = jax.lax.fori_loop(0, _POWER_STEPS, power, start)
    linear, quadratic = parts(covariance)
    return jnp.sum(covariance * linear) / jnp.sum(covariance * quadratic)
