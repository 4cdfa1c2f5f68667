"""What several checks share: small problems, a grid, variants of a part, and gradients compared."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from .._status import Status, describe_status
from .._times import log_times
from .._trajectory import Trajectory
from .._types import PyTree
from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem, ModalProblem, OperatorProblem

TIMES = log_times(0.1, 30.0, 6)
STEPS = 8 * np.array([0, 1, 3, 4, 12, 25])
QUICK: dict[str, bool | int | str] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
"""Compiles in about half the time; for programs that run once or twice."""

_NUDGE = 0.97


def times_for(dynamics: AbstractDynamics) -> np.ndarray:
    """A short refresh grid on the clock of a dynamics."""
    return STEPS if dynamics.clock == "steps" else TIMES


def default_problems() -> list[AbstractProblem]:
    """A small problem with modes and one with examples."""
    rng, number = np.random.default_rng(7), np.arange(1.0, 13.0)
    modal = ModalProblem(number**-1.3, number**-1.6 * rng.uniform(0.5, 2.0, 12))
    features = rng.normal(size=(12, 5)) * np.arange(1.0, 6.0) ** -0.7
    return [modal, OperatorProblem(features, rng.normal(size=(12, 2)))]


def run_parts(problem: Any, times: Any, dynamics: Any) -> tuple[AbstractProblem, AbstractDynamics, np.ndarray, Any]:
    """Problem, dynamics, refresh grid and key of a run, chosen where they are None."""
    problem = default_problems()[0] if problem is None else problem
    dynamics = problem.default_dynamics() if dynamics is None else dynamics
    grid = np.asarray(times_for(dynamics) if times is None else times, np.float64)
    return problem, dynamics, grid, jax.random.key(5) if dynamics.needs_key else None


def tolerance(dtype: Any) -> float:
    """What sums over the weights may be off by, relatively: 1e-12 in float64, 3e-6 in float32."""
    return 1e-12 if jnp.finfo(dtype).bits == 64 else 3e-6


def nudged(part: PyTree) -> list[PyTree]:
    """The same part with each inexact array leaf moved by a few percent, one at a time."""
    leaves, structure = jax.tree.flatten(part)
    moved = []
    for n, leaf in enumerate(leaves):
        if eqx.is_inexact_array(leaf):
            moved.append(jax.tree.unflatten(structure, [*leaves[:n], leaf * _NUDGE, *leaves[n + 1 :]]))
    return moved


def stacked(parts: list[PyTree]) -> PyTree:
    """Parts of one structure as one with a leading axis on every array."""
    arrays = [eqx.filter(part, eqx.is_array) for part in parts]
    together = jax.tree.map(lambda *x: jnp.stack(x), *arrays)
    return eqx.combine(together, eqx.filter(parts[0], eqx.is_array, inverse=True))


def check_run(problem: AbstractProblem, run: Trajectory, weights: Any, energy: Any, *, flow: bool = True) -> None:
    """What every run owes: weights of mean one, the problem's dtype, and a loss that belongs to the energies.

    Arguments:
        problem: what was learnt.
        run: the run.
        weights: those at each refresh, shape (times, weights).
        energy: residual energies at each refresh, shape (times, weights).
        flow: whether the dynamics is the default one, which the problem's bound is for.
    """
    times, mass, dtype = len(run.times), np.asarray(problem.mass, np.float64), problem.dtype
    words = describe_status(run.status, run.faults)
    assert run.status == Status.OK, f"the run failed: {words} at refresh {run.refresh}"
    assert run.refresh == -1
    chex.assert_type([run.times, run.loss, weights, energy], dtype)
    chex.assert_shape([run.times, run.loss], (times,))
    chex.assert_shape([weights, energy], (times, len(mass)))
    assert np.all(np.asarray(weights) >= 0), "a weight is negative"
    assert np.all(np.asarray(energy) >= 0), "a residual energy is negative"
    mean = np.asarray(weights, np.float64) @ mass
    np.testing.assert_allclose(mean, 1, rtol=0, atol=tolerance(dtype), err_msg="weights are not of mean one")
    rounding = tolerance(dtype)
    np.testing.assert_allclose(run.loss[0], problem.initial_loss(), rtol=rounding / 10, err_msg="the first loss")
    loss = np.asarray(jax.vmap(problem.training_loss)(jnp.asarray(energy)))
    if abs(loss[0] / float(run.loss[0]) - 1) <= rounding:  # otherwise it is measured on other data
        np.testing.assert_allclose(run.loss, loss, rtol=rounding, err_msg="loss and residual energies disagree")
    bound = problem.lower_bound(np.asarray(run.times)) if flow else None
    if bound is not None:
        assert np.all(run.loss >= np.asarray(bound.loss) * (1 - rounding)), f"a loss is below the {bound.name}"


def check_gradient(
    value: Callable[[PyTree], Any],
    leaves: PyTree,
    *,
    differences: bool = True,
    sloped: Mapping[str, bool] | None = None,
    adjoints: Sequence[Callable[[PyTree], Any]] = (),
    accuracy: tuple[float, float] = (1e-11, 1e-7),
) -> None:
    """Reverse mode against forward mode, and both against central differences of fourth order.

    Arguments:
        value: a scalar of a pytree of inexact arrays.
        leaves: where to differentiate.
        differences: whether `value` is smooth there.
        sloped: by name of a field, whether the slope there is more than tiny, or zero; no such claim if None.
        adjoints: the same value by other routes of reverse mode.
        accuracy: relative, of reverse mode and of finite differences.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(leaves)
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    points = [jnp.asarray(leaf) for _, leaf in paths]
    routes = adjoints or [value]
    derivatives = jax.jit(
        lambda x, along: ([jax.grad(route)(x) for route in routes], jax.jvp(value, (x,), (along,))[1]),
        compiler_options=QUICK,
    )
    at = jax.jit(value, compiler_options=QUICK)
    rng = np.random.default_rng(4)
    for n, (name, point) in enumerate(zip(names, points, strict=True)):
        direction = rng.normal(size=point.shape) if point.ndim else np.ones(())
        along = [jnp.zeros_like(other) for other in points]
        along[n] = jnp.asarray(direction, point.dtype)
        reverse, slope = derivatives(leaves, jax.tree.unflatten(structure, along))
        slope = float(slope)
        for each in reverse:
            found = float(np.sum(np.asarray(jax.tree.leaves(each)[n]) * direction))
            np.testing.assert_allclose(
                found, slope, rtol=accuracy[0], atol=1e-14, err_msg=f"reverse and forward mode, {name}"
            )
        if differences:
            step = 1e-4 * max(float(np.max(np.abs(point))), 1e-3)
            moved = [
                float(at(jax.tree.unflatten(structure, [*points[:n], point + i * step * direction, *points[n + 1 :]])))
                for i in (-2, -1, 1, 2)
            ]
            difference = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
            np.testing.assert_allclose(
                slope, difference, rtol=accuracy[1], atol=accuracy[1] / 100, err_msg=f"finite differences, {name}"
            )
        field = name.rpartition(".")[2]
        if sloped is not None and field in sloped:
            assert (abs(slope) > 1e-3) == sloped[field], f"{name}: the slope is {slope}"


def simulated(problem: Any, schedule: Any, times: Any, **options: Any) -> Trajectory:
    """A run that returns its status instead of raising."""
    return simulate(problem, schedule, times, throw=False, **options)
