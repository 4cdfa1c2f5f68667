"""One-pass SGD on modes: the exact second moments of the residual, mini-batch and label noise included."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_finite, check_positive, check_scalar
from .._observation import Observation
from .._types import Array, Float, Int, PerRefresh, PerWeight, PRNGKeyArray, PyTree, as_inexact
from .._where import where
from ..numerics import (
    SHORTEST_POWER,
    batch_max,
    rank_one_power,
    repeat_while,
    rounding_of_mean,
    where_one,
    without_derivative,
)
from ..problems import ModalProblem
from ._base import AbstractDynamics, require, shown
from ._sgd_settings import SETTING_FAULTS, UNSTABLE, AbstractStepDynamics, Setting, as_setting, no_steps, setting_faults

# Many steps at once are precise relative to what there was before, so an interval is cut where the loss falls far.
_FALL, _DEEPEST, _GROWTH = 4.0, 30.0, 8.0  # e-folds at once; the most that can be seen; of a part over the last
_MOST = 1024  # parts of an interval, each of 8 steps or a fall by 4; any loss is gone before


class SGDState(eqx.Module):
    """Expected energies after some steps.

    Arguments:
        energy: expected residual energy E_k of each mode, shape (modes,); half their sum under the mass is the loss.
        steps: number of steps taken, scalar.
    """

    energy: Float[Array, "modes"]
    steps: Int[Array, ""]


class SGDMoments(AbstractStepDynamics):
    """Expected residual energies of one-pass SGD on Gaussian features, step for step, at the cost of a few steps.

    Every step draws a fresh batch of B examples with features x ~ N(0, diag(lam~)), lam~_k = lam_k w_k, and labels with
    noise of variance sigma^2. With E_k = lam_k E[a_k^2] the expectation over draws obeys, exactly,

        E_k <- (1 - 2 eta lam~_k + (1 + 1/B) eta^2 lam~_k^2) E_k
               + (eta^2 / B) lam_k lam~_k (sum_j m_j w_j E_j + sigma^2) .

    The refresh grid counts steps; time is the running sum of eta, and small steps give `ModalFlow`. The n steps of an
    interval are applied at once, by a contour integral of the resolvent, in parts over which the loss falls by no more
    than e^4: whatever n, results are precise to about 1e-10 in float64 and 1e-5 in float32 (1e-3 after 1e8 steps).
    Fewer than 8 are taken one by one.

    Learning rate and batch size are held from refresh to refresh, as weights are. Each is a number, a `PerRefresh`
    table, an array with one number for each step, or a function of the number of steps taken, such as any optax
    schedule. Of the last two an interval has the mean over its steps (of a batch the harmonic one): time is the sum of
    the rates themselves, and what holding them changes is of second order in how much they change in an interval. A
    function is averaged over 4,096 steps, evenly spread, where an interval has more. One whose own numbers are traced
    must be a pytree (an equinox module, or `jax.tree_util.Partial`), unless it is made where they are traced. A rate of
    zero does nothing.

    The noise of the labels is given by its variance, or by its strength sigma^2 / B, all that runs with one batch size
    can tell of both. B also sets the noise that a batch has of itself, the other terms in 1 / B; a batch of infinity
    leaves those out, and is gradient descent. With a noise exponent delta the strength is multiplied by
    (eta / eta_peak)^delta. What the problem itself cannot explain (`ModalProblem.noise_variance`, the part of a target
    outside the span of random features) comes on top, over B and at every rate.

    A run whose learning rate is above the limit of stability under the weights in force stops with a fault, the limit
    standing in `Trajectory.limit`. Whatever the weights, a learning rate below 2 / ((1 + 2/B) kappa), kappa the trace,
    is stable.

    Arguments:
        learning_rate: eta, in units of time, not negative.
        batch_size: B, at least 1; need not be a whole number.
        noise_variance: sigma^2, the variance of the label noise, non-negative.
        noise_strength: sigma^2 / B, in place of the variance.
        noise_exponent: delta, scalar; 0 for noise that is the same at every learning rate.
        reference_rate: eta_peak, positive; the largest rate of the run's intervals if None.

    Raises:
        ValueError: a negative learning rate, a batch below 1, negative noise, or noise given in both ways; in a run, a
            function of the step with such values, or an array of fewer numbers than steps.

    Source:
        The fourth moment of a Gaussian, E[x x^T M x x^T] = 2 L M L + L tr(L M) for L its covariance; the recursion of
        the energies is closed because L is diagonal. For the power laws it leads to: Paquette, Paquette, Xiao and
        Pennington, 4+3 phases of compute-optimal neural scaling laws (2024).
    """

    faults: ClassVar[tuple[str, ...]] = (*SETTING_FAULTS, UNSTABLE)
    learning_rate: Setting = eqx.field(converter=as_setting)
    batch_size: Setting = eqx.field(converter=as_setting, default=1.0)
    noise_variance: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)
    noise_strength: Float[Array, ""] = eqx.field(converter=as_setting, default=0.0)
    noise_exponent: Float[Array, ""] = eqx.field(converter=as_inexact, default=0.0)
    reference_rate: Float[Array, ""] | None = eqx.field(converter=as_inexact, default=None)

    def __check_init__(self) -> None:
        check_finite("noise_exponent", self.noise_exponent, "give 0 for noise that is the same at every rate")
        if self.reference_rate is not None:
            check_positive("reference_rate", self.reference_rate, "give the rate at which the noise is as stated")

    def init(self, problem: Any) -> PyTree:
        require(problem, ModalProblem, self)
        return SGDState(problem.energies, no_steps())

    def on_steps(self, steps: Any) -> tuple["AbstractDynamics", Float[Array, "intervals"]]:
        cut, durations = super().on_steps(steps)
        if self.reference_rate is None:
            rates = cut.learning_rate
            peak = jnp.max(rates.over(len(steps) - 1)) if isinstance(rates, PerRefresh) else rates
            cut = eqx.tree_at(lambda d: d.reference_rate, cut, peak, is_leaf=lambda x: x is None)
        return cut, durations

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        rate, inverse_batch = self._in_force(problem.dtype)
        noise = self._noise(rate, inverse_batch) + inverse_batch * problem.noise_variance
        sampled = problem.eigenvalues * weights
        decrement = _decrement(rate, inverse_batch, sampled)
        left = rate**2 * problem.eigenvalues * sampled
        right = inverse_batch * problem.multiplicity * weights

        def one_step(energy):
            return (1 - decrement) * energy + left * (jnp.sum(right * energy) + noise)

        def few_steps(energy, number):
            def one(energy, index):
                return where(index < number, one_step(energy), energy), None

            return jax.lax.scan(one, energy, jnp.arange(SHORTEST_POWER, dtype=number.dtype))[0]

        def many_steps(energy, number):
            log_diagonal = _log_one_minus(decrement, rate * sampled, inverse_batch)
            return rank_one_power(energy, decrement, left, right, noise, log_diagonal, number.astype(energy.dtype))

        def added_noise(energy):
            """The noise that the next step adds: that of the batch, and that of the labels.

            The error of many steps at once is proportional to its value before the first of them, which therefore
            sets how many steps may be taken together.
            """
            return without_derivative(jnp.sum(right * energy) + noise)

        def some_steps(carry):
            energy, remaining, number = carry
            many = number >= SHORTEST_POWER
            # members of a batch may differ in it; what no member needs is not computed
            at_least = jnp.maximum(number, SHORTEST_POWER)
            at_once = jax.lax.cond(batch_max(many), lambda: many_steps(energy, at_least), lambda: energy)
            few = where(many, 0, jnp.minimum(remaining, SHORTEST_POWER))
            by_one = jax.lax.cond(batch_max(few) > 0, lambda: few_steps(energy, few), lambda: energy)
            fall = _fall(added_noise(energy), added_noise(at_once))
            kept = ~(fall > _FALL)  # also where it is not a number: what has diverged is not to hold up its batch
            taken = where(many, where(kept, number, 0), few)
            energy = where(many, where(kept, at_once, energy), by_one)
            remaining = remaining - taken
            proposal = number * jnp.minimum(0.8 * _FALL / jnp.maximum(fall, 0.1 * _FALL), _GROWTH)
            proposal = where(many, jnp.minimum(proposal, jnp.iinfo(number.dtype).max // 2), SHORTEST_POWER)
            return energy, remaining, jnp.minimum(proposal.astype(number.dtype), remaining)

        start = state.energy, duration, duration
        energy, *_ = repeat_while(lambda carry: carry[1] >= 1, some_steps, start, _MOST)
        return SGDState(energy, state.steps + duration)

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        return shown(time, state.energy, problem.training_loss(state.energy), state)

    def check(self, problem: Any, state: PyTree, weights: PerWeight, duration: Array) -> Sequence[tuple[Array, Any]]:
        rate, inverse_batch = self._in_force(problem.dtype)
        largest = largest_stable_rate(problem, weights, 1 / inverse_batch)
        settings = setting_faults(rate, inverse_batch, self._noise(rate, inverse_batch))
        return *settings, (~(rate < largest), largest)

    def largest_rate(self, problem: Any, weights: PerWeight | None = None) -> Array | None:
        if callable(self.batch_size):
            raise ValueError(
                "batch_size is a function of the step: give a number or a PerRefresh table to bound rates."
            )
        sizes = self.batch_size.by_refresh() if isinstance(self.batch_size, PerRefresh) else self.batch_size
        if weights is None:
            return 2 / ((1 + 2 / sizes) * problem.trace)
        rate = lambda size: largest_stable_rate(problem, weights, size)
        return jax.vmap(rate)(sizes) if sizes.ndim else rate(sizes)

    def _noise(self, rate: Array, inverse_batch: Array) -> Array:
        """The noise of the labels in a step of this rate."""
        check_scalar("noise_exponent", self.noise_exponent)
        reference = rate if self.reference_rate is None else self.reference_rate
        relative = where(rate > 0, rate, 1) / where(rate > 0, reference, 1)  # without a step there is no noise
        return self._noise_per_step(inverse_batch) * jnp.exp(self.noise_exponent * jnp.log(relative))


def _fall(before: Array, after: Array) -> Array:
    """By how many e-folds something has fallen; 0 where there was nothing, at most `_DEEPEST`."""
    ratio = where(before > 0, after / where(before > 0, before, 1), 1)
    return -jnp.log(jnp.maximum(ratio, jnp.exp(jnp.asarray(-_DEEPEST, ratio.dtype))))


def largest_stable_rate(
    problem: ModalProblem, weights: Float[Array, "modes"], batch_size: Float[Array, ""]
) -> Float[Array, ""]:
    """The learning rate above which second moments of one-pass SGD grow under held weights, exactly.

    Arguments:
        problem: modal.
        weights: density ratios of mean one, shape (modes,).
        batch_size: B, scalar, at least 1; may be infinite.

    Returns:
        eta, scalar, in units of time.

    One step is a non-negative matrix, diagonal plus rank one, so its spectral radius is below one if and only if every
    diagonal entry is and F = sum_k a_k / (2 x - b_k) is below one, with x = 1 / eta, a_k = m_k lam~_k / B and
    b_k = (1 + 1/B) lam~_k. 1 / F is increasing in y = 2 x - max b, which large batches make small, and one between the
    root of the largest single term and sum_k a_k, where a bracketed search ends. The step of Newton's method after it
    carries the derivative.
    """
    sampled = problem.eigenvalues * weights
    finite = jnp.isfinite(batch_size)
    inverse = 1 / jnp.asarray(batch_size, sampled.dtype)
    b = (1 + inverse) * sampled
    a = problem.multiplicity * sampled * where(finite, inverse, 1)
    largest = jnp.max(b)
    gap = largest - b

    still, apart = jax.lax.stop_gradient((a, gap))
    least, limits = jnp.max(still - apart), jnp.finfo(a.dtype)
    sound = finite & (least > limits.tiny) & jnp.all(jnp.isfinite(still))
    bottom = where(sound, least, 1)

    def inverse_sum(y):
        value = 1 / jnp.sum(still / (y + apart))
        return value, value**2 * jnp.sum(still / (y + apart) ** 2)

    root = where_one(
        inverse_sum,
        start=bottom,
        bottom=bottom * (1 - 8 * limits.eps),
        top=where(sound, jnp.sum(still), 1) * (1 + 8 * limits.eps),
        tolerance=rounding_of_mean(still.shape[0], a.dtype),
        wanted=sound,
    ).x
    term = 1 / (root + gap)
    reached = jnp.sum(a * term)
    root = root + reached * (reached - 1) / jnp.sum(a * term**2)
    # full gradients add no noise, and leave the largest diagonal entry alone
    return 2 / (largest + where(sound, root, 0))


def _decrement(rate: Array, inverse_batch: Array, sampled: Array) -> Array:
    """1 minus the factor by which a mode's energy shrinks in a step, without cancellation."""
    move = rate * sampled
    return move * (2 - (1 + inverse_batch) * move)


def _log_one_minus(decrement: Array, move: Array, inverse_batch: Array) -> Array:
    """log((1 - eta lam~)^2 + (eta lam~)^2 / B), precise at both ends."""
    small = decrement < 0.5
    factor = jnp.maximum((1 - move) ** 2 + move**2 * inverse_batch, jnp.finfo(move.dtype).tiny)
    return where(small, jnp.log1p(-where(small, decrement, 0)), jnp.log(factor))
