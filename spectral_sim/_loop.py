"""The compiled loop: ask the schedule, hold its weights, look at the learner, record."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from ._observation import Observation
from ._status import Status
from ._trajectory import Trajectory
from ._types import Array, PerRefresh, PyTree, cast_inexact
from .dynamics import Verdict
from .numerics import SCALAR, attempt, segment_length, segmented_scan, total, unit_of, without_derivative


@eqx.filter_jit
def run_loop(problem, schedule, times, durations, dynamics, save, adjoint, key) -> Trajectory:
    """What `simulate` does once its arguments have been checked; statuses instead of exceptions."""
    times, durations = _constant((times, durations))
    intervals = durations.shape[0]
    schedule, dynamics = cast_inexact((schedule, dynamics), problem.dtype)
    tables, (schedule, dynamics) = _split_tables((schedule, dynamics), intervals)
    mass = problem.mass

    first_schedule, first_dynamics = eqx.combine(jax.tree.map(lambda x: x[0], tables), (schedule, dynamics))
    observed, _ = attempt(_begin, (first_dynamics, problem, times[0]))
    initial_energy = observed.energy

    def shown(observed, index, duration):
        refresh_key = None if key is None else jax.random.fold_in(key, index)
        return observed.replace(
            initial_energy=initial_energy, duration=duration, index=index, key=refresh_key, mass=mass, problem=problem
        )

    def decide(schedule, observed, stage_state, index, duration):
        operands = schedule, shown(observed, index, duration), stage_state
        return attempt(_weights, operands, (jnp.ones_like(mass), stage_state))

    stage_state = cast_inexact(first_schedule.init(problem), problem.dtype)
    index = jnp.arange(intervals + 1, dtype=jnp.int32)
    held, code = None, jnp.zeros((), jnp.int32)
    if schedule.static and not jax.tree.leaves(tables[0]):
        (held, _), code = decide(first_schedule, observed, stage_state, index[0], durations[0])

    passed_on = _passed_on(first_schedule, shown(observed, index[0], durations[0]), stage_state)
    constants, memory = eqx.partition(stage_state, passed_on)

    def refresh(carry, xs):
        observed, memory, last_weights, status, failed_at, limit = carry
        index, duration, next_time, sliced = xs
        live = index < intervals  # the last entry only records, and so do any that pad a segment
        schedule_now, dynamics_now = eqx.combine(sliced, (schedule, dynamics))
        if held is None:
            stage_state = eqx.combine(memory, constants)
            (weights, stage_state), code = decide(schedule_now, observed, stage_state, index, duration)
            memory = eqx.filter(stage_state, passed_on, inverse=True)
            first = live & (status == Status.OK) & (code != Status.OK)
            status, failed_at = jnp.where(first, code, status), jnp.where(first, index, failed_at)
            weights = jnp.where(status == Status.OK, weights, 1)
        else:  # a static schedule was asked once, before the loop; where that failed its weights are 1 already
            weights = held
        record = observed.loss, save(shown(observed, index, duration), jnp.where(live, weights, last_weights))
        since, span = observed.state, duration
        if held is not None and dynamics.jumps:
            since, span = dynamics_now.init(problem), next_time
        operands = dynamics_now, problem, since, weights, span, next_time, key, index
        (observed, verdict), _ = attempt(_advance, operands)
        if verdict is not None:
            first = live & (status == Status.OK) & (verdict.code != Status.OK)
            status, failed_at = jnp.where(first, verdict.code, status), jnp.where(first, index, failed_at)
            limit = jnp.where(first, verdict.limit, limit)
        return (observed, memory, weights, status, failed_at, limit), record

    unknown = jnp.full((), jnp.nan, mass.dtype)
    carry = observed, memory, jnp.ones_like(mass), code, jnp.zeros((), jnp.int32), unknown
    again = lambda x: jnp.concatenate([x, x[-1:]])
    xs = index, again(durations), again(times[1:]), jax.tree.map(again, tables)
    (*_, status, failed_at, limit), (loss, saved) = _scan(adjoint, refresh, carry, xs)

    # a state that is not finite shows in the recorded loss, which costs the loop nothing
    failed_at = jnp.where(status == Status.OK, intervals + 1, failed_at)
    lost_at = jnp.min(jnp.where(jnp.isfinite(loss), intervals + 1, index))
    lost = (lost_at <= intervals) & (lost_at <= failed_at)  # at the same refresh, the state was lost first
    status = jnp.where(lost, Status.NON_FINITE_STATE, status).astype(jnp.int32)
    failed_at = jnp.minimum(failed_at, lost_at)
    loss, saved = jax.tree.map(lambda x: _blank(x, index < failed_at), (loss, saved))
    limit = jnp.where(lost, unknown, limit)
    return Trajectory(times, loss, saved, status, jnp.where(status == Status.OK, -1, failed_at), limit)


def _scan(adjoint, step, carry, xs):
    if adjoint == "direct":
        return jax.lax.scan(step, carry, xs)
    length = 1 if adjoint == "stored" else segment_length(xs[0].shape[0])
    return segmented_scan(step, carry, xs, length)


def _begin(operands):
    """Look at the learner before anything has happened to it."""
    dynamics, problem, time = operands
    observed = _strip(dynamics.observe(problem, dynamics.init(problem), time))
    return observed, _finite(observed)


def _weights(operands):
    """Ask the schedule; normalise, as a guard; say what is wrong with the answer, if anything."""
    schedule, observation, stage_state = operands
    mass = observation.mass
    signal, new_state = schedule(_visible(observation), observation, stage_state)
    if schedule.kind == "observe":  # what is seen are the weights, and where nothing is seen they are uniform
        signal = jnp.where(jnp.all(signal == 0), 1, signal)
    if jnp.shape(signal) != mass.shape:
        raise ValueError(
            f"the schedule returned weights of shape {jnp.shape(signal)}, but the problem is reweighted by "
            f"{mass.shape[0]} weights: return one for each."
        )
    signal = jnp.asarray(signal, mass.dtype)
    # in a unit of their own, since products of small scores and masses may underflow; a negative weight shows in it as
    # minus infinity
    unit = checkpoint_name(unit_of(signal), SCALAR)
    signal = signal / jnp.where(unit == 0, 1, unit)
    mean = checkpoint_name(total(mass, signal), SCALAR)
    code = jnp.where(mean > 0, Status.OK, Status.ZERO_WEIGHTS)
    code = jnp.where(jnp.isfinite(mean), code, Status.NON_FINITE_WEIGHTS)
    code = jnp.where(jnp.isneginf(unit), Status.NEGATIVE_WEIGHTS, code)
    # weights that a constrain stage has made mean one are left alone: dividing by 1 + rounding could exceed a cap
    settled = jnp.abs(mean * unit - 1) <= 64 * jnp.finfo(mass.dtype).eps
    divisor = jnp.where(mean == 0, 1, mean)
    weights = signal / (divisor / without_derivative(jnp.where(settled, divisor * unit, 1)))
    return (weights, cast_inexact(new_state, mass.dtype)), code.astype(jnp.int32)


def _visible(observation):
    """Residual energy where there is mass: what is never sampled is never seen, whatever its energy."""
    return jnp.where(observation.mass > 0, observation.energy, 0)


def _passed_on(schedule, observation, stage_state):
    """Which leaves of the stage state a schedule hands back untouched: constants, which the loop need not carry.

    Carried, a constant would look as if it depended on what came before, and its derivative would be computed.
    """
    leaves, structure = jax.tree.flatten(stage_state)

    def new_leaves(leaves):
        return jax.tree.leaves(schedule(_visible(observation), observation, jax.tree.unflatten(structure, leaves))[1])

    program = jax.make_jaxpr(new_leaves)(leaves).jaxpr
    same = [new is old for new, old in zip(program.outvars, program.invars, strict=True)]
    return jax.tree.unflatten(structure, same)


def _advance(operands):
    """Hold the weights over the interval and look at the learner after it."""
    dynamics, problem, state, weights, duration, time, key, index = operands
    key = None if key is None else jax.random.fold_in(jax.random.fold_in(key, index), 1)
    verdict = dynamics.check(problem, state, weights, duration)
    after = dynamics.advance(problem, state, weights, duration, key)
    if verdict is None:
        verdict = dynamics.verify(problem, state, after, weights)
    observed = _strip(dynamics.observe(problem, after, time))
    code = _finite(observed)
    if verdict is not None:
        limit = without_derivative(jnp.asarray(verdict.limit, observed.loss.dtype))
        verdict = Verdict(jnp.asarray(verdict.code, jnp.int32), limit)
        code = jnp.where(verdict.code == Status.OK, code, verdict.code)
    return (observed, verdict), code


def _finite(observed):
    code = jnp.where(jnp.isfinite(observed.loss), Status.OK, Status.NON_FINITE_STATE)
    return checkpoint_name(code.astype(jnp.int32), SCALAR)


def _blank(values: Array, valid: Array) -> Array:
    """NaN in place of what was recorded after a failure."""
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        return values
    return jnp.where(valid.reshape((-1,) + (1,) * (values.ndim - 1)), values, jnp.nan)


def _strip(observation: Observation) -> Observation:
    """Only what changes from refresh to refresh: the part that the loop carries."""
    return observation.replace(initial_energy=None, duration=None, index=None, key=None, mass=None, problem=None)


def _is_table(node: Any) -> bool:
    return isinstance(node, PerRefresh)


def _split_tables(tree: PyTree, intervals: int) -> tuple[PyTree, PyTree]:
    """Take the `PerRefresh` tables out of a tree, cut to one entry for each interval."""
    tables, rest = eqx.partition(tree, _is_table, is_leaf=_is_table)

    def cut(table):
        values = table.by_refresh()
        if values.shape[:1] not in ((intervals,), (intervals + 1,)):
            raise ValueError(
                f"a PerRefresh table has shape {values.shape}: its leading axis needs one entry for each of the "
                f"{intervals + 1} times."
            )
        return values[:intervals]

    return jax.tree.map(cut, tables, is_leaf=_is_table), rest


@jax.custom_jvp
def _constant(times: PyTree) -> PyTree:
    return times


def _refuse_tangent(primals, tangents):
    if any(not isinstance(t, jax.custom_derivatives.SymbolicZero) for t in jax.tree.leaves(tangents)):
        raise TypeError(
            "times are constants of a run and cannot be differentiated; differentiate leaves of the schedule."
        )
    return primals[0], jax.tree.map(jnp.zeros_like, primals[0])


_constant.defjvp(_refuse_tangent, symbolic_zeros=True)
