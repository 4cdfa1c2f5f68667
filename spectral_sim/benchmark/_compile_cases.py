"""Seconds until the first result of each public way to run a problem, and retraces on new hyperparameters."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from .._times import log_steps, log_times
from ..dynamics import PoolMoments, SelfGenerated, SGDMoments, ShellTransport, log_shells
from ..problems import power_law, torus
from ..schedules import AbstractStage, TableSchedule, chain, clip, lag, power_tilt, proportional, softmax, water_filling
from ._case import Case, Settings
from ._program import uncached
from ._result import CaseResult, Figure
from ._timing import spread

_TRACED = "/jax/core/compile/jaxpr_trace_duration"


@contextmanager
def count_traces() -> Iterator[list[float]]:
    """Seconds of every trace of a function by JAX inside the block, one entry each."""
    seconds: list[float] = []

    def listener(event: str, duration_secs: float, **_: Any) -> None:
        if event == _TRACED:
            seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)


def _entries() -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """By name: losses as a function of hyperparameters, at the default sizes, and hyperparameters to begin with."""
    modal, data, pool = power_law(2.0, 2.0, max_mode=1e8), torus(2.0, 2.0, 256), torus(2.0, 2.0, 64)
    shells = log_shells(np.geomspace(1, 1e-3, 256), 1.0, 1e-6)
    times, few = log_times(1e-1, 1e6, 257), log_times(0.5, 3000.0, 41)
    steps, pool_steps = log_steps(1, 1e6, 129), 20 * np.arange(17)

    def on(problem, times, build, start, dynamics=None):
        run = lambda h: simulate(problem, build(h), times, dynamics=dynamics, throw=False).loss
        return run, start if isinstance(start, AbstractStage) else jnp.asarray(start, problem.dtype)

    same = lambda schedule: schedule
    return {
        "modes, static": on(modal, times, power_tilt, 0.5),
        "modes, table": on(modal, times, same, TableSchedule.create(modal, times)),
        "modes, practical oracle": on(
            modal, times, lambda tau: chain(lag(tau), proportional(1.0), clip(0.1, 100.0)), 10.0
        ),
        "data, table": on(data, few, same, TableSchedule.create(data, few)),
        "modes, water-filling": on(modal, times, lambda tau: chain(lag(tau), water_filling()), 2.0),
        "data, softmax": on(data, few, softmax, 1.0),
        "SGD moments": on(modal, steps, power_tilt, 0.3, SGDMoments(1e-2, 8.0, 0.01)),
        "pool moments": on(pool, pool_steps, softmax, 1.0, PoolMoments(1e-2, 8.0)),
        "shell transport": on(shells, log_times(1e-1, 1e3, 201), power_tilt, 0.3, ShellTransport(1.5, 0.01)),
        "self-generated": on(data, few, softmax, 1.0, SelfGenerated(0.3, 10.0)),
    }


def _compile(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    forward, gradient, traces = {}, {}, {}
    for name, (losses, start) in list(_entries().items())[: sizes["entries"]]:
        score = lambda h, losses=losses: jnp.mean(jnp.log(losses(h)[1:]))
        forward[name] = _compile_seconds(losses, start)
        gradient[name] = _compile_seconds(jax.grad(score), start)
        traces[name] = _retraces(losses, start)
    for kind, seconds in (("forward", forward), ("gradient", gradient)):
        worst = max(seconds, key=lambda name: seconds[name])
        result.figures.append(
            Figure(
                f"trace and compile, {kind}, slowest entry",
                spread([seconds[worst]]),
                "s",
                note=f"{worst}; all {len(seconds)}: " + ", ".join(f"{n} {s:.1f}" for n, s in seconds.items()),
                target=f"compile/{kind}",
            )
        )
    count, note = sum(traces.values()), ", ".join(name for name, n in traces.items() if n)
    result.figures.append(
        Figure("retraces on new hyperparameters", spread([count]), "count", note=note, target="compile/retraces")
    )


def _compile_seconds(function: Callable[[Any], Any], start: Any) -> float:
    """Seconds to trace and compile, with nothing kept from before."""
    jax.clear_caches()
    with uncached():
        begin = time.perf_counter()
        jax.jit(function).lower(start).compile()
        return time.perf_counter() - begin


def _retraces(function: Callable[[Any], Any], start: Any) -> int:
    """Functions traced by a call with hyperparameters that no call before it had."""
    changed = lambda factor: jax.tree.map(lambda x: factor * x + 0.001, start)
    jax.block_until_ready(function(changed(1.0)))
    fresh = jax.block_until_ready(changed(1.01))
    with count_traces() as seconds:
        jax.block_until_ready(function(fresh))
    return len(seconds)


CASES = (
    Case(
        "compile",
        "Tracing and compiling, and retraces, float64",
        {"entries": 10},
        {"entries": 4},
        lambda sizes: 2**29,
        _compile,
        scaled="entries",
    ),
)
