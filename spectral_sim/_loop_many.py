"""The compiled loop for schedules of different kinds: each is asked by itself, and all advance together."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._loop import Carry, Facts, Fault, advance, ask, begin, concluded, decide, normalised, scan
from ._state import next_state
from ._status import Status
from ._trajectory import Trajectory
from ._types import PyTree, cast_inexact, split_tables
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
        last_weights, common = weights, facts.shown(observed, index, duration)
        asked = [
            (schedules_now[m], eqx.combine(member_of(observed, m), common), memories[m], constants[m], fault.status[m])
            for m in range(members)
            if held[m] is None
        ]
        weights, memories, codes = decide_all(asked)
        if any(fixed):
            weights, memories, codes = iter(weights), iter(memories), iter(codes)
            none = jnp.zeros((), jnp.int32)
            weights = jnp.stack([held[m] if fixed[m] else next(weights) for m in range(members)])
            codes = jnp.stack([none if fixed[m] else next(codes) for m in range(members)])
            memories = tuple(old if fixed[m] else next(memories) for m, old in enumerate(carry.memory))
        fault = fault.first(live, codes, index)
        weights = where((fault.status == Status.OK)[:, None], weights, 1)
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


def member_of(tree: PyTree, member: int) -> PyTree:
    return jax.tree.map(lambda x: x[member], tree)


def decide_all(asked: list) -> tuple[Any, tuple, Any]:
    """As `decide` for each of several schedules, whose signals become weights together."""

    def answer(operands):
        (asked,) = operands
        raw = [ask(one, shown, eqx.combine(memory, constant)) for one, shown, memory, constant, _ in asked]
        # each with a mass of its own, whose derivative it has for itself
        masses = jnp.stack([shown.mass for _, shown, *_ in asked])
        weights, codes = jax.vmap(normalised)(jnp.stack([signal for signal, _ in raw]), masses)
        before = jnp.stack([each[-1] for each in asked])
        memories = [
            eqx.filter(state, one[0].constants, inverse=True) for one, (_, state) in zip(asked, raw, strict=True)
        ]
        return (weights, tuple(memories)), where(before == Status.OK, codes, before)

    if not asked:
        return (), (), ()
    uniform = jnp.ones((len(asked), *asked[0][1].mass.shape), asked[0][1].mass.dtype)
    (weights, memories), codes = attempt(answer, (tuple(asked),), (uniform, None))
    return weights, memories, codes
