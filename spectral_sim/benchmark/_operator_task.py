"""The data task, weights on examples over one interval or a whole run, and every way to do it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._extras import require
from .._simulate import simulate
from .._types import Array, Float, PerRefresh
from ..dynamics import OperatorFlow
from ..numerics import chebyshev_terms
from ..numerics._chebyshev import expansion
from ..problems import OperatorProblem
from ..schedules import TableSchedule


class Work(NamedTuple):
    """What a route does over an interval: terms of its expansion, flops of all products, and both in words."""

    route: str
    terms: int
    flops: float
    words: str


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

    def work(self, duration: Any, tolerance: float) -> Work | None:
        """The work of the chosen route over an interval; None where it is not a count of products, or not known."""
        features, scales = self.problem.features, duration * self.problem.example_mass * self.weights
        schedules, examples, size = self.sizes.values()
        route = _route(features, scales, tolerance)
        if route == "features":
            terms = chebyshev_terms(features, scales, tolerance)
            words = f"{terms} terms of two products each"
            return Work(route, terms, terms * 4.0 * schedules * examples * size, words)
        if route == "gram":
            norms = jax.lax.map(lambda s: jnp.linalg.norm(features.T @ (s[:, None] * features)), scales)
            terms = int(expansion(jnp.max(norms), tolerance).terms)
            forming, each = 2.0 * schedules * examples * size**2, 2.0 * schedules * size**2
            return Work(
                route, terms, forming + terms * each, f"matrices of all members, and {terms} products with them"
            )
        return None


def _route(features: Array, scales: Array, tolerance: float) -> str:
    """The route that a batch takes at these scales: "eigh", "gram" or "features"; "" where that cannot be told."""
    try:
        from ..numerics._weighted_phi import _FEW_FEATURES, chosen_route
    except ImportError:
        return ""
    if features.shape[1] <= _FEW_FEATURES:
        return "eigh"
    drives = jnp.zeros((len(scales), 1, features.shape[1]), features.dtype)
    choose = jax.vmap(lambda scale, drive: chosen_route(features, scale, drive, "auto", tolerance))
    return ("eigh", "gram", "features")[int(np.ravel(choose(scales, drives))[0])]


def our_advance(method: str, tolerance: float | None) -> Callable[..., Array]:
    """(problem, weights, duration) -> parameters after one interval, shape (schedules, features)."""
    flow = OperatorFlow(method=method, tolerance=tolerance)

    def advance(problem, weights, duration):
        step = lambda w: flow.advance(problem, flow.init(problem), w, duration, None).parameters[:, 0]
        return jax.vmap(step)(weights)

    return advance


def product_pair(features: Array, scale: Array, rows: Array) -> Array:
    """M_w on one vector of each schedule: the inner loop of the expansion, shape (schedules, features)."""
    return ((features @ rows.T).T * scale) @ features


def our_run(times: np.ndarray, method: str, tolerance: float | None) -> Callable[[Any, Any], Array]:
    """(problem, log weights) -> losses under a table for each schedule, shape (schedules, times)."""
    flow = OperatorFlow(method=method, tolerance=tolerance)

    def losses(problem, log_weights):
        one = lambda table: simulate(problem, TableSchedule(PerRefresh(table)), times, dynamics=flow, throw=False).loss
        return jax.vmap(one)(log_weights)

    return losses


def interval_systems(problem: OperatorProblem, log_weights: Array) -> tuple[Array, Array]:
    """M_w and the drive at the start, shapes (schedules, intervals, features[, features])."""
    phi, targets, mass = problem.features, problem.targets[:, 0], problem.example_mass

    def system(log_weights):
        weights = jnp.exp(log_weights - jnp.max(log_weights))
        scaled = (mass * weights / (weights @ mass))[:, None] * phi
        return phi.T @ scaled, targets @ scaled

    return jax.jit(lambda tables: jax.lax.map(lambda table: jax.lax.map(system, table[:-1]), tables))(log_weights)


def diffrax_run(times: np.ndarray, solver: str, tolerance: float) -> Callable[[Any, Any], Array]:
    """(problem, systems) -> the same by diffrax, which is given M_w and its drive: see `interval_systems`.

    A solve for each interval is faster by far than one whose steps end at the jumps. Schedules take turns, as in
    lock-step all would wait for the slowest.

    Raises:
        ImportError: diffrax is not installed.
    """
    diffrax = require("diffrax", "the diffrax peer", "pip install diffrax")

    def losses(problem, systems):
        grid = jnp.asarray(times, problem.dtype)
        phi, targets, mass = problem.features, problem.targets[:, 0], problem.example_mass

        def interval(theta, held):
            system, begin, end, before = held
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, theta, system: system[1] - system[0] @ theta),
                getattr(diffrax, solver)(),
                t0=begin,
                t1=end,
                dt0=before,
                y0=theta,
                args=system,
                stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
                max_steps=None,
            )
            return found.ys[0], found.ys[0]

        def one(systems):
            start = jnp.zeros(phi.shape[1], phi.dtype)
            before = jnp.concatenate([grid[1:2], jnp.diff(grid)[:-1]])  # a first step: as long as the last interval
            _, rest = jax.lax.scan(interval, start, (systems, grid[:-1], grid[1:], before))
            thetas = jnp.concatenate([start[None], rest])
            return jax.vmap(lambda theta: 0.5 * mass @ (targets - phi @ theta) ** 2)(thetas)

        return jax.lax.map(one, systems)

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


def by_dop853(task: OperatorTask, duration: float, tolerance: float) -> Callable[[], np.ndarray]:
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
            found = solve_ivp(field, (0, duration), np.zeros(len(drive)), "DOP853", (duration,), **options)
            steps.append(found.y[:, -1])
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
