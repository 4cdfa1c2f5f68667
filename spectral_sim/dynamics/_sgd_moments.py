"""One-pass SGD on modes: the exact second moments of the residual, mini-batch and label noise included."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._observation import Observation
from .._status import Status
from .._types import Array, Float, Int
from ..numerics import (
    SHORTEST_POWER,
    batch_max,
    log_or_minus_inf,
    rank_one_power,
    repeat_while,
    without_derivative,
)
from ..problems import ModalProblem
from ._base import AbstractDynamics, Verdict, require
from ._sgd_settings import Setting, as_setting, check_settings, in_force, later, no_steps, settings_code, whole_steps

_NEWTON_STEPS = 8
# Many steps at once are precise relative to what there was before, so an interval is cut where the loss falls far.
_FALL, _DEEPEST, _GROWTH = 4.0, 30.0, 8.0  # e-folds at once; the most that can be seen; of a part over the last
_MOST = 1024  # parts of an interval, each of 8 steps or a fall by 4; any loss is gone before


class SGDState(eqx.Module):
    """Expected residual energies (modes,) and the number of steps taken."""

    energy: Float[Array, "modes"]
    steps: Int[Array, ""]


class SGDMoments(AbstractDynamics):
    """Expected residual energies of one-pass SGD on Gaussian features, step for step, at the cost of a few steps.

    Every step draws a fresh batch of B examples with features x ~ N(0, diag(lam~)), lam~_k = lam_k w_k, and labels with
    noise of variance sigma^2. With E_k = lam_k E[a_k^2] the expectation over draws obeys, exactly,

        E_k <- (1 - 2 eta lam~_k + (1 + 1/B) eta^2 lam~_k^2) E_k
               + (eta^2 / B) lam_k lam~_k (sum_j m_j w_j E_j + sigma^2) .

    Time is the running sum of eta; small steps give `ModalFlow`. The n steps of an interval are applied at once, by a
    contour integral of the resolvent, in parts over which the loss falls by no more than e^4: whatever n, results are
    precise to about 1e-10 in float64 and 1e-5 in float32 (1e-3 after 1e8 steps). Fewer than 8 are taken one by one.

    Learning rate and batch size are held from refresh to refresh, as weights are. Each is a number, a `PerRefresh`
    table, or a function of the number of steps taken, such as any optax schedule; one whose own numbers are traced must
    be a pytree (an equinox module, or `jax.tree_util.Partial`). Every interval must be a whole number of steps within a
    thousandth of one (in float32 within what rounding leaves of h / eta): build the grid with `step_times`. Derivatives
    are taken at that number of steps. A sweep over learning rates has one grid of times, which all of them must divide.

    A run whose learning rate is above the limit of stability under the weights in force stops with
    `Status.UNSTABLE_LEARNING_RATE`, the limit standing in `Trajectory.limit`. Whatever the weights, a learning rate
    below 2 / ((1 + 2/B) kappa), kappa the trace, is stable.

    Arguments:
        learning_rate: eta, in units of time, positive.
        batch_size: B, at least 1; need not be a whole number.
        noise_variance: sigma^2, the variance of the label noise, non-negative.

    Raises:
        ValueError: a learning rate that is not positive, a batch below 1, or a negative variance.

    Source:
        The fourth moment of a Gaussian, E[x x^T M x x^T] = 2 L M L + L tr(L M) for L its covariance; the recursion of
        the energies is closed because L is diagonal. For the power laws it leads to: Paquette, Paquette, Xiao and
        Pennington, 4+3 phases of compute-optimal neural scaling laws (2024).
    """

    adjoint: ClassVar[str] = "stored"  # an interval holds many steps
    learning_rate: Setting = eqx.field(converter=as_setting)
    batch_size: Setting = eqx.field(converter=as_setting, default=1.0)
    noise_variance: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)

    def __check_init__(self):
        check_settings(self.learning_rate, self.batch_size, self.noise_variance)

    def init(self, problem):
        require(problem, ModalProblem, self)
        return SGDState(problem.energies, no_steps())

    def advance(self, problem, state, weights, duration, key):
        rate, batch = in_force(self, state.steps, problem.dtype)
        steps, _ = whole_steps(duration, rate)
        sampled = problem.eigenvalues * weights
        decrement = _decrement(rate, batch, sampled)
        left = (rate**2 / batch) * problem.eigenvalues * sampled
        right = problem.multiplicity * weights

        def one_step(energy):
            return (1 - decrement) * energy + left * (jnp.sum(right * energy) + self.noise_variance)

        def few_steps(energy, number):
            def one(energy, index):
                return jnp.where(index < number, one_step(energy), energy), None

            return jax.lax.scan(one, energy, jnp.arange(SHORTEST_POWER, dtype=number.dtype))[0]

        def many_steps(energy, number):
            log_diagonal = _log_one_minus(decrement, rate * sampled, batch)
            return rank_one_power(energy, decrement, left, right, self.noise_variance, log_diagonal, number)

        def source(energy):
            """What the noise that a step adds is proportional to; errors of many steps at once are, to what it was."""
            return without_derivative(jnp.sum(right * energy) + self.noise_variance)

        def some_steps(carry):
            energy, remaining, number = carry
            many = number >= SHORTEST_POWER
            # members of a batch may differ in it; what no member needs is not computed
            at_least = jnp.maximum(number, SHORTEST_POWER)
            at_once = jax.lax.cond(batch_max(many), lambda: many_steps(energy, at_least), lambda: energy)
            few = jnp.where(many, 0, jnp.minimum(remaining, SHORTEST_POWER))
            by_one = jax.lax.cond(batch_max(few) > 0, lambda: few_steps(energy, few), lambda: energy)
            fall = _fall(source(energy), source(at_once))
            kept = ~(fall > _FALL)  # also where it is not a number: what has diverged is not to hold up its batch
            taken = jnp.where(many, jnp.where(kept, number, 0), few)
            energy = jnp.where(many, jnp.where(kept, at_once, energy), by_one)
            proposal = number * jnp.minimum(0.8 * _FALL / jnp.maximum(fall, 0.1 * _FALL), _GROWTH)
            proposal = jnp.where(many, jnp.floor(proposal), SHORTEST_POWER)
            remaining = remaining - taken
            return energy, remaining, jnp.minimum(proposal, remaining)

        start = state.energy, steps, steps
        energy, *_ = repeat_while(lambda carry: carry[1] >= 1, some_steps, start, _MOST)
        return SGDState(energy, later(state.steps, steps))

    def observe(self, problem, state, time):
        return Observation(
            time=time,
            energy=state.energy,
            log_energy=log_or_minus_inf(state.energy),
            loss=problem.training_loss(state.energy),
            state=state,
        )

    def check(self, problem, state, weights, duration):
        rate, batch = in_force(self, state.steps, problem.dtype)
        _, partial = whole_steps(duration, rate)
        code = settings_code(rate, batch, self.noise_variance, partial)
        largest = largest_stable_rate(problem, weights, batch)
        unstable = (code == Status.OK) & ~(rate < largest)
        return Verdict(jnp.where(unstable, Status.UNSTABLE_LEARNING_RATE, code), jnp.where(unstable, largest, partial))


def _fall(before: Array, after: Array) -> Array:
    """By how many e-folds something has fallen; 0 where there was nothing, at most `_DEEPEST`."""
    ratio = jnp.where(before > 0, after / jnp.where(before > 0, before, 1), 1)
    return -jnp.log(jnp.maximum(ratio, jnp.exp(jnp.asarray(-_DEEPEST, ratio.dtype))))


def largest_stable_rate(
    problem: ModalProblem, weights: Float[Array, "modes"], batch_size: Float[Array, ""]
) -> Float[Array, ""]:
    """The learning rate above which second moments of one-pass SGD grow under held weights, exactly.

    Arguments:
        problem: modal.
        weights: density ratios of mean one, shape (modes,).
        batch_size: B, scalar, at least 1.

    Returns:
        eta, scalar, in units of time.

    One step is a non-negative matrix, diagonal plus rank one, so its spectral radius is below one if and only if every
    diagonal entry is and F = sum_k a_k / (2 x - b_k) is below one, with x = 1 / eta, a_k = m_k lam~_k / B and
    b_k = (1 + 1/B) lam~_k. 1 / F is concave and increasing in x, so Newton's method climbs to the root of F = 1 from
    the root of the largest single term without passing it. It runs in 2 x - max b, which large batches make small.
    """
    sampled = problem.eigenvalues * weights
    a, b = problem.multiplicity * sampled / batch_size, (1 + 1 / batch_size) * sampled
    largest = jnp.max(b)
    gap = largest - b

    def newton(_, y):
        term = 1 / (y + gap)
        total, slope = jnp.sum(a * term), jnp.sum(a * term**2)
        return y + total * (total - 1) / slope

    return 2 / (largest + jax.lax.fori_loop(0, _NEWTON_STEPS, newton, jnp.max(a - gap)))


def _decrement(rate: Array, batch: Array, sampled: Array) -> Array:
    """1 minus the factor by which a mode's energy shrinks in a step, without cancellation."""
    move = rate * sampled
    return move * (2 - (1 + 1 / batch) * move)


def _log_one_minus(decrement: Array, move: Array, batch: Array) -> Array:
    """log((1 - eta lam~)^2 + (eta lam~)^2 / B), precise at both ends."""
    small = decrement < 0.5
    factor = jnp.maximum((1 - move) ** 2 + move**2 / batch, jnp.finfo(move.dtype).tiny)
    return jnp.where(small, jnp.log1p(-jnp.where(small, decrement, 0)), jnp.log(factor))
