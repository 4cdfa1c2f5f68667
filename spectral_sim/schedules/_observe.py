"""Observe stages: what a practical curator can see of the residual."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_fraction, check_non_negative, check_positive
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges, Refreshes, as_inexact, by_refresh
from .._where import where
from ..numerics import exponential, group_sums, log_or_minus_inf, mass_rank
from ._base import SMALLEST, AbstractStage, Kind, require_modal, stage_name


class AbstractFirstOrderLag(AbstractStage):
    """A stage with a time constant; the state is the time of the last refresh and the lagged signal."""

    ranges: ClassVar[Ranges] = {"tau": (0.0, None)}
    tau: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_non_negative("tau", self.tau, "give a time constant in units of time")

    def init(self, problem: Any) -> PyTree:
        return jnp.zeros((), problem.dtype), jnp.zeros_like(problem.mass)

    def _follow(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        """One step towards the signal."""
        last, memory = state
        elapsed = observation.time - last
        instant = self.tau <= 0
        gain = where(instant, 1, -jnp.expm1(-elapsed / where(instant, 1, self.tau)))
        memory = where(observation.index == 0, signal, memory + gain * (signal - memory))
        return memory, (observation.time, memory)


class Lag(AbstractFirstOrderLag):
    """Show a running average of the residual: s += (1 - exp(-h / tau)) (signal - s), h the time since the last refresh.

    Arguments:
        tau: time constant, in units of time; 0 sees the present.
    """

    kind: ClassVar[Kind] = "observe"

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return self._follow(signal, observation, state)


class Stale(AbstractStage):
    """The residual is scored once per period and remembered in between.

    Arguments:
        period: time between scorings, in units of time; 0 scores at every refresh.
    """

    kind: ClassVar[Kind] = "observe"
    ranges: ClassVar[Ranges] = {"period": (0.0, None)}
    period: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_non_negative("period", self.period, "give a period in units of time")

    def init(self, problem: Any) -> PyTree:
        return jnp.zeros((), problem.dtype), jnp.zeros_like(problem.mass)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        scored_at, memory = state
        slack = 1 - 4 * jnp.finfo(signal.dtype).eps  # times are rounded; a period that fits a grid must not slip
        due = (observation.index == 0) | (observation.time - scored_at >= self.period * slack)
        memory = where(due, signal, memory)
        return memory, (where(due, observation.time, scored_at), memory)

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return _due(times, by_refresh(self.period, times)).astype(times.dtype)


class Delay(AbstractStage):
    """The residual as it was `tau` ago; before that, as it was at the start.

    A ring keeps snapshots at least tau / slots apart; between snapshots log energies are interpolated linearly in time.

    Arguments:
        tau: delay, in units of time.
        slots: number of snapshots that span the delay.
    """

    kind: ClassVar[Kind] = "observe"
    ranges: ClassVar[Ranges] = {"tau": (0.0, None)}
    tau: Float[Array, ""] = eqx.field(converter=as_inexact)
    slots: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        check_non_negative("tau", self.tau, "give a delay in units of time")
        check_positive("slots", self.slots, "keep at least one snapshot")

    def init(self, problem: Any) -> PyTree:
        # two beyond the span: the snapshot at or before the delayed time, and the present
        ring = (self.slots + 2,)
        return (
            jnp.zeros((), jnp.int32),
            jnp.zeros(ring, problem.dtype),
            jnp.zeros(ring + problem.mass.shape, problem.dtype),
        )

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        """Times stand in order, the present last; snapshot n stays in row n of the ring, counted round."""
        newest, taken_at, ring = state
        floor, slots = jnp.finfo(signal.dtype).tiny, taken_at.size
        kept = signal is observation.energy  # nothing has changed it, and the learner keeps its logarithm
        present = jnp.maximum(observation.log_energy if kept else log_or_minus_inf(signal), jnp.log(floor))
        first = observation.index == 0
        taken_at = where(first, observation.time, taken_at)
        # the present becomes a snapshot when the one before it is old enough; the start is one at once
        spacing = self.tau / self.slots
        advance = ~first & (taken_at[-1] - taken_at[-2] >= spacing * (1 - 4 * jnp.finfo(signal.dtype).eps))
        taken_at = where(advance, jnp.roll(taken_at, -1), taken_at).at[-1].set(observation.time)
        newest = where(first, 0, jnp.maximum(newest + advance, 1))
        ring = ring.at[newest % slots].set(present)

        wanted = jnp.maximum(observation.time - self.tau, taken_at[0])
        after = jnp.clip(jnp.searchsorted(taken_at, wanted), 1, slots - 1)
        gap = taken_at[after] - taken_at[after - 1]
        part = where(gap > 0, (wanted - taken_at[after - 1]) / where(gap > 0, gap, 1), 1)
        snapshot = lambda place: ring[jnp.maximum(newest - (slots - 1) + place, 0) % slots]  # the start before it
        before = snapshot(after - 1)
        seen = before + part * (snapshot(after) - before)
        return jnp.exp(where(seen > jnp.log(2 * floor), seen, -jnp.inf)), (newest, taken_at, ring)


class AddNoise(AbstractStage):
    """Multiplicative log-normal noise of mean one, drawn afresh at every refresh.

    Arguments:
        sigma: standard deviation of the logarithm.
    """

    kind: ClassVar[Kind] = "observe"
    ranges: ClassVar[Ranges] = {"sigma": (0.0, None)}
    needs_key: ClassVar[bool] = True
    sigma: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_non_negative("sigma", self.sigma, "give the standard deviation of the log")

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        normal = jax.random.normal(key_of(self, observation), signal.shape, signal.dtype)
        factor = exponential(self.sigma * normal - self.sigma**2 / 2)
        # in logarithms, which the stage that comes next often takes; by one of the noise, which ends what the compiler
        # would else compute again for each member of a batch that draws the same
        return jnp.exp(log_or_minus_inf(signal) + jnp.log(factor)), state

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return None


class ShellAverage(AbstractStage):
    """Residuals are known as averages over shells only.

    Modes are put into shells of equal width in the logarithm of their number. Examples (or groups) are put into shells
    of equal mass by their current signal, as a curator with coarse score buckets would.

    Arguments:
        num_shells: number of shells.
    """

    kind: ClassVar[Kind] = "observe"
    constants: ClassVar[bool] = True
    num_shells: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_positive("num_shells", self.num_shells, "give at least one shell")

    def init(self, problem: Any) -> PyTree:
        modal = problem.as_modal()
        if modal is None:
            return None
        position = jnp.log(modal.index) / jnp.log(modal.index[-1] + 0.5)
        return jnp.clip(jnp.floor(position * self.num_shells), 0, self.num_shells - 1).astype(jnp.int32)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        if state is None:
            rank, count = mass_rank(signal, observation.mass), observation.mass
            middle = rank.below + rank.tied / 2  # so that equal signals are in one shell
            shell = jnp.clip(jnp.floor(middle * self.num_shells), 0, self.num_shells - 1).astype(jnp.int32)
        else:
            shell, count = state, observation.problem.as_modal().multiplicity
        total = group_sums(count * signal, shell, self.num_shells)
        size = group_sums(count, shell, self.num_shells)
        return (total / where(size > 0, size, 1))[shell], state

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return None


class BandLimit(AbstractStage):
    """Only modes up to a number are seen; the others show no residual. Modal problems only.

    Arguments:
        k_max: largest mode number seen.
    """

    kind: ClassVar[Kind] = "observe"
    ranges: ClassVar[Ranges] = {"k_max": (SMALLEST, None)}
    k_max: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_positive("k_max", self.k_max, "give a mode number")

    def init(self, problem: Any) -> PyTree:
        require_modal(self, problem, "subsample()")
        return None

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return where(observation.problem.as_modal().index <= self.k_max, signal, 0), state

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return None


class Subsample(AbstractStage):
    """A random part is scored at each refresh; the others keep their last score (that of the start, if none yet).

    Arguments:
        fraction: probability of being scored, in (0, 1].
    """

    kind: ClassVar[Kind] = "observe"
    ranges: ClassVar[Ranges] = {"fraction": (SMALLEST, 1.0)}
    needs_key: ClassVar[bool] = True
    fraction: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_fraction("fraction", self.fraction)

    def init(self, problem: Any) -> PyTree:
        return jnp.zeros_like(problem.mass)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        drawn = jax.random.uniform(key_of(self, observation), signal.shape, signal.dtype)
        seen = where((drawn < self.fraction) | (observation.index == 0), signal, state)
        return seen, seen

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return by_refresh(self.fraction, times).astype(times.dtype).at[0].set(1)


def key_of(stage, observation):
    """The key of this refresh, or an error that says where to give one."""
    if observation.key is None:
        raise ValueError(f"{stage_name(stage)} draws random numbers: pass simulate(key=jax.random.key(0)).")
    return observation.key


@jax.jit
def _due(times, periods):
    """The refreshes at which `stale` scores anew, found as it finds them."""
    slack = 1 - 4 * jnp.finfo(times.dtype).eps

    def look(scored_at, now):
        time, period = now
        due = time - scored_at >= period * slack
        return where(due, time, scored_at), due

    return jax.lax.scan(look, jnp.asarray(-jnp.inf, times.dtype), (times, periods))[1]
