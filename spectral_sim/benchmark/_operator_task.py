"""The data task, weights on examples over one interval or a whole run, and every way to do it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._extras import require
from .._simulate import simulate
from .._types import Array, Float, PerRefresh
from ..dynamics import OperatorFlow
from ..numerics import chebyshev_terms
from ..problems import OperatorProblem
from ..schedules import TableSchedule

__all__ = ["OperatorTask", "by_expm", "by_solve_ivp", "diffrax_run", "our_advance", "our_run", "product_pair"]


class OperatorTask:
    """Gaussian features whose columns fall as k^-1, targets with noise, and log-normal weights of mean one.

    Arguments:
        schedules, examples, features: sizes.
        dtype: of everything.
    """

    def __init__(self, schedules: int, examples: int, features: int, dtype: Any = np.float64):
        rng = np.random.default_rng(0)
        phi = rng.standard_normal((examples, features)) / np.arange(1.0, features + 1)
        targets = phi @ rng.standard_normal(features) + 0.1 * rng.standard_normal(examples)
        self.problem = OperatorProblem(phi.astype(dtype), targets.astype(dtype))
        weights = np.exp(0.5 * rng.standard_normal((schedules, examples)))
        self.weights = jnp.asarray(weights / weights.mean(axis=1, keepdims=True), dtype)
        self.sizes = {"schedules": schedules, "examples": examples, "features": features}

    @property
    def trace(self) -> float:
        """R, the largest trace of M_w among the schedules."""
        norms = jnp.sum(self.problem.features**2, axis=1)
        return float(jnp.max(self.weights @ (self.problem.example_mass * norms)))

    def duration(self, hr: float) -> Float[Array, ""]:
        """h such that h R is `hr`."""
        return jnp.asarray(hr / self.trace, self.problem.dtype)

    def flops(self, duration: Any, tolerance: float) -> tuple[int, float]:
        """Terms of the expansion over an interval, and the flops of their products with Phi, two for each term."""
        terms = chebyshev_terms(self.problem.features, duration * self.problem.example_mass * self.weights, tolerance)
        schedules, examples, features = self.sizes.values()
        return terms, terms * 4.0 * schedules * examples * features


def our_advance(method: str, tolerance: float | None) -> Callable[..., Array]:
    """(problem, weights, duration) -> parameters after one interval, shape (schedules, features)."""
    flow = OperatorFlow(method=method, tolerance=tolerance)

    def advance(problem, weights, duration):
        step = lambda w: flow.advance(problem, flow.init(problem), w, duration, None).parameters[:, 0]
        return jax.vmap(step)(weights)

    return advance


def product_pair(features: Array, scale: Array, rows: Array) -> Array:
    """M_w on one vector of each schedule: the inner loop of the expansion, shape (schedules, features)."""
    return ((rows @ features.T) * scale) @ features


def our_run(times: np.ndarray, method: str, tolerance: float | None) -> Callable[[Any, Any], Array]:
    """(problem, log weights) -> losses under a table for each schedule, shape (schedules, times)."""
    flow = OperatorFlow(method=method, tolerance=tolerance)

    def losses(problem, log_weights):
        one = lambda table: simulate(problem, TableSchedule(PerRefresh(table)), times, dynamics=flow, throw=False).loss
        return jax.vmap(one)(log_weights)

    return losses


def diffrax_run(times: np.ndarray, solver: str, tolerance: float) -> Callable[[Any, Any], Array]:
    """The same by diffrax: one solve of the whole run, whose steps end where the weights jump.

    Raises:
        ImportError: diffrax is not installed.
    """
    diffrax = require("diffrax", "the diffrax peer", "pip install diffrax")

    def losses(problem, log_weights):
        grid = jnp.asarray(times, problem.dtype)
        phi, targets, mass = problem.features, problem.targets[:, 0], problem.example_mass

        def field(t, theta, weights):
            row = jnp.clip(jnp.searchsorted(grid, t, side="right") - 1, 0, len(times) - 2)
            return phi.T @ (mass * weights[row] * (targets - phi @ theta))

        def one(table):
            weights = jnp.exp(table - jnp.max(table, axis=1, keepdims=True))
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                getattr(diffrax, solver)(),
                t0=grid[0],
                t1=grid[-1],
                dt0=grid[1],
                y0=jnp.zeros(phi.shape[1], phi.dtype),
                args=weights / (weights @ mass)[:, None],
                saveat=diffrax.SaveAt(ts=grid),
                stepsize_controller=diffrax.ClipStepSizeController(
                    diffrax.PIDController(rtol=tolerance, atol=tolerance), step_ts=grid[1:-1], jump_ts=grid[1:-1]
                ),
                max_steps=None,
            )
            return jax.vmap(lambda theta: 0.5 * mass @ (targets - phi @ theta) ** 2)(found.ys)

        return jax.vmap(one)(log_weights)

    return losses


def by_expm(task: OperatorTask, duration: float) -> Callable[[], np.ndarray]:
    """Parameters after one interval by SciPy's expm_multiply on [[-M, g], [0, 0]], one schedule after the other.

    Raises:
        ImportError: SciPy is not installed.
    """
    require("scipy", "the SciPy peer", "pip install scipy")
    from scipy.sparse.linalg import expm_multiply

    def call() -> np.ndarray:
        steps = []
        for matrix, drive in _systems(task):
            size = len(drive)
            augmented = np.zeros((size + 1, size + 1))
            augmented[:size, :size], augmented[:size, size] = -matrix * duration, drive * duration
            start = np.zeros(size + 1)
            start[size] = 1
            steps.append(np.asarray(expm_multiply(augmented, start, traceA=np.trace(augmented)))[:size])
        return np.stack(steps)

    return call


def by_solve_ivp(task: OperatorTask, duration: float, method: str, tolerance: float) -> Callable[[], np.ndarray]:
    """The same by SciPy's solve_ivp.

    Raises:
        ImportError: SciPy is not installed.
    """
    solve_ivp = require("scipy.integrate", "the SciPy peer", "pip install scipy").solve_ivp

    def call() -> np.ndarray:
        steps = []
        for matrix, drive in _systems(task):
            field = lambda t, theta, matrix=matrix, drive=drive: drive - matrix @ theta
            options = {"rtol": tolerance, "atol": tolerance * 1e-3}
            if method in ("BDF", "Radau"):
                options["jac"] = -matrix
            steps.append(solve_ivp(field, (0, duration), np.zeros(len(drive)), method, (duration,), **options).y[:, -1])
        return np.stack(steps)

    return call


def _systems(task: OperatorTask):
    """M_w and the drive at the start, for each schedule in turn."""
    phi, targets, mass, weights = (
        np.asarray(x) for x in (task.problem.features, task.problem.targets, task.problem.example_mass, task.weights)
    )
    for row in weights:
        scaled = (mass * row)[:, None] * phi
        yield phi.T @ scaled, scaled.T @ targets[:, 0]
