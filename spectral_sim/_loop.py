"""The compiled loop: ask the schedule, hold its weights, look at the learner, record."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from ._clock import Clock
from ._observation import Observation
from ._state import as_state, next_state
from ._status import Status
from ._trajectory import Trajectory
from ._types import Array, Int, PerWeight, PyTree, cast_inexact, split_tables
from ._where import where
from .dynamics import first_fault
from .numerics import SCALAR, attempt, scaled_mean, segment_length, segmented_scan, without_derivative
from .schedules import AbstractStage, advance_state, answer_of, begin_state


@eqx.filter_jit
def run_loop(problem, schedule, clock, dynamics, save, adjoint, key) -> Trajectory:
    """What `simulate` does once its arguments have been checked; statuses instead of exceptions."""
    times, durations = clock.times, clock.durations
    intervals = durations.shape[0]
    schedule, dynamics = cast_inexact((schedule, dynamics), problem.dtype)
    tables, (schedule, dynamics) = split_tables((schedule, dynamics), intervals)
    first_schedule, first_dynamics = eqx.combine(jax.tree.map(lambda x: x[0], tables), (schedule, dynamics))

    observed, _ = attempt(begin, (first_dynamics, problem, times[0]))
    facts = Facts(problem, problem.mass, observed.energy, key)
    observed = facts.masked(observed)
    index = jnp.arange(intervals + 1, dtype=jnp.int32)
    fault = Fault.none(facts.mass.dtype)
    constants, memory = eqx.partition(begin_state(first_schedule, problem), schedule.constants)
    held = None
    if schedule.static and not jax.tree.leaves(tables[0]):  # asked once; where that fails its weights are 1
        shown = facts.shown(observed, index[0], durations[0])
        held, _, code = decide(first_schedule, shown, memory, constants, fault)
        fault = fault.first(True, code, index[0])
        if not jax.tree.leaves(tables[1]):
            dynamics = dynamics.under(problem, held, clock.spans)
            tables = tables[0], eqx.filter(dynamics, False)

    def refresh(carry: Carry, xs):
        observed, memory, weights, fault = carry
        index, duration, next_time, span, end, sliced = xs
        live = index < intervals  # the last entry only records, and so do any that pad a segment
        schedule_now, dynamics_now = eqx.combine(sliced, (schedule, dynamics))
        shown, last_weights = facts.shown(observed, index, duration), weights
        if held is None:
            weights, memory, code = decide(schedule_now, shown, memory, constants, fault)
            fault = fault.first(live, code, index)
        else:
            weights = held
        record = observed.loss, save(shown, where(live, weights, last_weights))
        since = observed.state
        if held is not None and dynamics.jumps:
            since, span = dynamics_now.init(problem), end
        operands = dynamics_now, problem, since, weights, span, next_time, key, index
        (moved, found), _ = attempt(advance, operands)
        state = next_state(type(dynamics).__name__, observed.state, moved.state, problem.dtype)
        if found is not None:
            fault = fault.first(live, found.code, index, found.limit)
        return Carry(facts.masked(moved.replace(state=state)), memory, weights, fault), record

    carry = Carry(observed, memory, jnp.ones_like(facts.mass), fault)
    again = lambda x: jnp.concatenate([x, x[-1:]])
    xs = index, *map(again, (durations, times[1:], clock.spans, clock.ends)), jax.tree.map(again, tables)
    carry, (loss, saved) = scan(adjoint, refresh, carry, xs)
    return concluded(clock, loss, saved, carry.fault, dynamics.faults)


class Facts(NamedTuple):
    """What every observation of a run says besides the learner itself."""

    problem: Any
    mass: Array
    initial_energy: Array
    key: Any

    def masked(self, observed: Observation) -> Observation:
        """What goes from one refresh to the next: where there is no mass there is nothing to see."""
        highest = where(self.mass > 0, jnp.inf, -jnp.inf)
        return observed.replace(log_energy=jnp.minimum(observed.log_energy, highest))

    def shown(self, observed: Observation, index: Array, duration: Array) -> Observation:
        """What the schedule and `save` are shown at a refresh."""
        return observed.replace(
            initial_energy=self.initial_energy,
            duration=duration,
            index=index,
            key=None if self.key is None else jax.random.fold_in(self.key, index),
            mass=self.mass,
            problem=self.problem,
        )


class Fault(NamedTuple):
    """What failed first, at which refresh, and what would have been possible there."""

    status: Array
    refresh: Array
    limit: Array

    @classmethod
    def none(cls, dtype: Any) -> "Fault":
        return cls(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), jnp.full((), jnp.nan, dtype))

    def first(self, live: Any, code: Array, index: Array, limit: Array | None = None) -> "Fault":
        """This fault, or the one of `code` if there was none before and the refresh is `live`."""
        new = live & (self.status == Status.OK) & (code != Status.OK)
        return Fault(
            where(new, code, self.status),
            where(new, index, self.refresh),
            self.limit if limit is None else where(new, limit, self.limit),
        )


class Carry(NamedTuple):
    """What goes from one refresh to the next."""

    observed: Observation
    memory: PyTree
    weights: Array
    fault: Fault


def begin(operands):
    """Look at the learner before anything has happened to it."""
    dynamics, problem, time = operands
    observed = look(dynamics, problem, dynamics.init(problem), time)
    state = as_state(type(dynamics).__name__, observed.state, problem.dtype)
    return observed.replace(state=state), _finite(observed)


def ask(schedule: AbstractStage, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
    """What a schedule asks for, of any scale, and its new state.

    A schedule of observe stages alone asks for what it sees, and for uniform weights where it sees nothing.
    """
    mass = observation.mass
    # what is never sampled is never seen, whatever its energy
    energy = where(mass > 0, observation.energy, 0)
    signal, returned = answer_of(schedule, energy, observation.replace(energy=energy), state)
    new_state = advance_state(schedule, state, returned, mass.dtype)
    if schedule.kind == "observe":
        signal = where(jnp.all(signal == 0), 1, signal)
    if jnp.shape(signal) != mass.shape:
        raise ValueError(
            f"the schedule returned weights of shape {jnp.shape(signal)}, but the problem is reweighted by "
            f"{mass.shape[0]} weights: return one for each."
        )
    return jnp.asarray(signal, mass.dtype), new_state


def normalised(signal: PerWeight, mass: PerWeight) -> tuple[PerWeight, Int[Array, ""]]:
    """Weights of mean one in proportion to a signal, and a `Status` code that says what is wrong with it."""
    # in a unit of their own where products of small scores and masses may underflow; a negative weight shows in it as
    # minus infinity
    unit, mean = scaled_mean(signal, mass)
    code = where(mean > 0, Status.OK, Status.ZERO_WEIGHTS)
    code = where(jnp.isfinite(mean), code, Status.NON_FINITE_WEIGHTS)
    code = where(jnp.isneginf(unit), Status.NEGATIVE_WEIGHTS, code)
    # weights that a constrain stage has made mean one are left alone: dividing by 1 + rounding could exceed a cap
    settled = jnp.abs(mean * unit - 1) <= 64 * jnp.finfo(mass.dtype).eps
    divisor = where(mean == 0, 1, mean)
    divisor = divisor / without_derivative(where(settled, divisor * unit, 1))
    return signal * (1 / where(unit == 0, 1, unit)) * (1 / divisor), code.astype(jnp.int32)


def decide(
    schedule, shown: Observation, memory: PyTree, constants: PyTree, fault: Fault
) -> tuple[Array, PyTree, Array]:
    """Weights, what the schedule remembers, and a status; uniform weights where it fails or has failed before.

    What is remembered after a failure may be anything: it changes no weights any more, and no derivative passes it.
    Constants are not among the results: they would look as if they depended on what came before, and be differentiated.
    """

    def answer(operands):
        schedule, shown, memory, constants, before = operands
        signal, state = ask(schedule, shown, eqx.combine(memory, constants))
        weights, code = normalised(signal, shown.mass)
        code = where(before == Status.OK, code, before)
        return (weights, eqx.filter(state, schedule.constants, inverse=True)), code

    operands = schedule, shown, memory, constants, fault.status
    (weights, memory), code = attempt(answer, operands, (jnp.ones_like(shown.mass), None))
    return weights, memory, code


def advance(operands):
    """Hold the weights over the interval and look at the learner after it."""
    dynamics, problem, state, weights, span, time, key, index = operands
    key = None if key is None else jax.random.fold_in(jax.random.fold_in(key, index), 1)
    after = dynamics.advance(problem, state, weights, span, key)
    seen = *dynamics.check(problem, state, weights, span), *dynamics.verify(problem, state, after, weights)
    found = first_fault(dynamics, seen, problem.dtype)
    observed = look(dynamics, problem, after, time)
    code = _finite(observed)
    if found is not None:
        code = where(found.code == Status.OK, code, found.code)
    return (observed, found), code


def look(dynamics, problem, state: PyTree, time: Array) -> Observation:
    """What a dynamics shows of a state; raises where that is no observation, or not one of the shapes that it has."""
    seen, name = dynamics.observe(problem, state, time), type(dynamics).__name__
    if not isinstance(seen, Observation):
        raise TypeError(
            f"{name}.observe returned a {type(seen).__name__}: return an Observation of time, energy, log_energy, loss "
            "and state."
        )
    weights = problem.mass.shape
    for field, wanted in (("energy", weights), ("log_energy", weights), ("loss", ())):
        shape = jnp.shape(getattr(seen, field))
        if shape != wanted:
            reason = f"the problem is reweighted by {weights[0]} weights" if wanted else "the loss is one number"
            raise ValueError(f"{name}.observe returned {field} of shape {shape}: return shape {wanted}, as {reason}.")
    # only what changes from refresh to refresh: the part that the loop carries
    return seen.replace(initial_energy=None, duration=None, index=None, key=None, mass=None, problem=None)


def _finite(observed: Observation) -> Array:
    code = where(jnp.isfinite(observed.loss), Status.OK, Status.NON_FINITE_STATE)
    return checkpoint_name(code.astype(jnp.int32), SCALAR)


def scan(adjoint: str, step, carry, xs):
    if adjoint == "direct":
        return jax.lax.scan(step, carry, xs)
    length = 1 if adjoint == "stored" else segment_length(xs[0].shape[0])
    return segmented_scan(step, carry, xs, length)


def concluded(clock: Clock, loss: Array, saved: PyTree, fault: Fault, faults: tuple[str, ...]) -> Trajectory:
    """The trajectory, with NaN from the first fault on; a loss that is not finite is one."""
    entries = loss.shape[0]
    index = jnp.arange(entries, dtype=jnp.int32)
    failed_at = where(fault.status == Status.OK, entries, fault.refresh)
    lost_at = jnp.min(where(jnp.isfinite(loss), entries, index))
    lost = (lost_at < entries) & (lost_at <= failed_at)  # at the same refresh, the state was lost first
    status = where(lost, Status.NON_FINITE_STATE, fault.status).astype(jnp.int32)
    failed_at = jnp.minimum(failed_at, lost_at)

    def blanked(values):
        if not jnp.issubdtype(values.dtype, jnp.inexact):
            return values
        return where((index < failed_at).reshape((-1,) + (1,) * (values.ndim - 1)), values, jnp.nan)

    loss, saved = jax.tree.map(blanked, (loss, saved))
    limit = where(lost, jnp.nan, fault.limit)
    failed_at = where(status == Status.OK, -1, failed_at)
    return Trajectory(clock.times, loss, saved, status, failed_at, limit, clock.steps, faults)
