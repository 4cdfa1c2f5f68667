"""The compiled loop for schedules of different kinds: each is asked by itself, and all advance together."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ._loop import Carry, Facts, Fault, advance, begin, concluded, decide, scan
from ._state import next_state
from ._status import Status
from ._tables import split_tables
from ._trajectory import Trajectory
from ._types import cast_inexact
from ._where import where
from .numerics import attempt
from .schedules import begin_state


@eqx.filter_jit
def run_loop_many(problem, schedules, clock, dynamics, save, adjoint, key) -> Trajectory:
    """What `simulate_many` does once its arguments have been checked; every array has a leading `schedules` axis."""
    times, durations = clock.times, clock.durations
    intervals, members = durations.shape[0], len(schedules)
    schedules, dynamics = cast_inexact((schedules, dynamics), problem.dtype)
    tables, (schedules, dynamics) = split_tables((schedules, dynamics), intervals)
    first_schedules, first_dynamics = eqx.combine(jax.tree.map(lambda x: x[0], tables), (schedules, dynamics))

    observed, _ = attempt(begin, (first_dynamics, problem, times[0]))
    facts = Facts(problem, problem.mass, observed.energy, key)
    observed = facts.masked(observed)
    index = jnp.arange(intervals + 1, dtype=jnp.int32)
    states = [begin_state(each, problem) for each in first_schedules]
    split = [eqx.partition(state, each.constants) for state, each in zip(states, schedules, strict=True)]
    constants, memories = [part[0] for part in split], tuple(part[1] for part in split)
    fault = jax.vmap(lambda _: Fault.none(facts.mass.dtype))(jnp.arange(members))
    fixed = [each.static and not jax.tree.leaves(table) for each, table in zip(schedules, tables[0], strict=True)]
    shown = facts.shown(observed, index[0], durations[0])
    held: list = [None] * members
    for member in (m for m in range(members) if fixed[m]):  # asked once; where that fails its weights are 1
        begun = Fault.none(facts.mass.dtype)
        held[member], _, code = decide(first_schedules[member], shown, memories[member], constants[member], begun)
        codes = jnp.zeros(members, jnp.int32).at[member].set(code)
        fault = fault.first(True, codes, index[0])
    jumping = jnp.array([dynamics.jumps and each for each in fixed])

    def refresh(carry, xs):
        observed, memories, weights, fault = carry
        index, duration, next_time, span, end, sliced = xs
        live = index < intervals
        schedules_now, dynamics_now = eqx.combine(sliced, (schedules, dynamics))
        last_weights, answers = weights, []
        for member in range(members):
            one = facts.shown(jax.tree.map(lambda x, m=member: x[m], observed), index, duration)
            if held[member] is None:
                own = jax.tree.map(lambda x, m=member: x[m], fault)
                answers.append(decide(schedules_now[member], one, memories[member], constants[member], own))
            else:
                answers.append((held[member], memories[member], jnp.zeros((), jnp.int32)))
        weights, memories, codes = zip(*answers, strict=True)
        fault = fault.first(live, jnp.stack(codes), index)
        weights = where((fault.status == Status.OK)[:, None], jnp.stack(weights), 1)
        keep = lambda one, w: save(facts.shown(one, index, duration), w)
        record = observed.loss, jax.vmap(keep)(observed, where(live, weights, last_weights))

        start = dynamics_now.init(problem)
        choose = lambda first, now: where(jumping.reshape((-1,) + (1,) * (now.ndim - 1)), first, now)
        since = jax.tree.map(choose, start, observed.state) if any(fixed) and dynamics.jumps else observed.state
        spans = where(jumping, end, span)

        def move(since, weights, span):
            return attempt(advance, (dynamics_now, problem, since, weights, span, next_time, key, index))[0]

        moved, found = jax.vmap(move)(since, weights, spans)
        state = next_state(type(dynamics).__name__, observed.state, moved.state, problem.dtype)
        if found is not None:
            fault = fault.first(live, found.code, index, found.limit)
        return Carry(facts.masked(moved.replace(state=state)), memories, weights, fault), record

    together = jax.tree.map(lambda x: jnp.broadcast_to(x, (members, *x.shape)), observed)
    carry = Carry(together, memories, jnp.ones((members, *facts.mass.shape), facts.mass.dtype), fault)
    again = lambda x: jnp.concatenate([x, x[-1:]])
    xs = index, *map(again, (durations, times[1:], clock.spans, clock.ends)), jax.tree.map(again, tables)
    carry, (loss, saved) = scan(adjoint, refresh, carry, xs)
    loss, saved = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (loss, saved))
    conclude = lambda loss, saved, fault: concluded(clock, loss, saved, fault, dynamics.faults)
    return eqx.filter_vmap(conclude)(loss, saved, carry.fault)
