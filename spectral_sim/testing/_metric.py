"""What every metric owes a sweep."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from .._clock import run_clock
from .._simulate import simulate
from .._types import ArrayLike
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import proportional
from ..sweeps import AbstractMetric, MemberRun, Variable
from ._common import run_parts


def check_metric(
    metric: AbstractMetric,
    problem: AbstractProblem | None = None,
    times: ArrayLike | None = None,
    *,
    dynamics: AbstractDynamics | None = None,
) -> None:
    """Hold a metric to what a sweep relies on.

    It is a frozen dataclass of plain values; what it returns are the variables that it announces, in their shapes; it
    works under jit and in a batch.

    Arguments:
        metric: the metric.
        problem: what runs; a problem with modes if None.
        times: refresh grid, of steps for dynamics that take steps; a short one if None.
        dynamics: how the learner moves; the default of the problem if None.

    Raises:
        AssertionError: an invariant does not hold; the message says which.
    """
    problem, dynamics, grid, key = run_parts(problem, times, dynamics)
    stepped = dynamics.clock == "steps"
    seen = np.asarray(run_clock(dynamics, grid, problem.dtype)[1].times, np.float64) if stepped else grid
    assert dataclasses.is_dataclass(metric), "a metric is a frozen dataclass: its fields are part of a sweep's hash"
    assert metric == dataclasses.replace(metric), "it does not equal a copy of itself"  # pyright: ignore[reportArgumentType]
    announced = metric.variables(seen)
    assert announced, "it announces no variable"
    for name, variable in announced.items():
        assert isinstance(variable, Variable), f"variables()[{name!r}] is no Variable"
        assert set(variable.coords) <= set(variable.dims), f"{name}: a coordinate has no dimension"

    def values(power):
        save = metric.record if metric.records else lambda observation, weights: None
        schedule = proportional(power)
        run = simulate(problem, schedule, grid, dynamics=dynamics, key=key, save=save, throw=False)
        member = MemberRun(problem, schedule, dynamics, key, seen, run.loss, run.saved)
        return metric(member.on_steps(grid, run.times, False) if stepped else member)

    alone = jax.jit(values)(jnp.asarray(0.5))
    assert set(alone) == set(announced), f"it announces {sorted(announced)} and returns {sorted(alone)}"
    for name, variable in announced.items():
        shape = np.shape(alone[name])
        assert len(shape) == len(variable.dims), f"{name} has shape {shape} and the dimensions {variable.dims}"
        for dim, length in zip(variable.dims, shape, strict=True):
            assert dim not in variable.coords or len(variable.coords[dim]) == length, f"{name}: {dim} has {length}"
    batch = jax.jit(jax.vmap(values))(jnp.asarray([0.5, 1.0]))
    for name, value in alone.items():
        np.testing.assert_allclose(batch[name][0], value, rtol=1e-6, atol=1e-9, err_msg=f"{name} in a batch")
