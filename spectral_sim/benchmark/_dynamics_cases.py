"""Dynamics beyond gradient flow: SGD moments against the steps one by one, pools against products, transport."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._simulate import simulate
from .._times import log_steps, log_times
from .._types import Array
from ..dynamics import ModalFlow, PoolMoments, PoolTraining, SGDMoments, ShellTransport, log_shells
from ..problems import ModalProblem, OperatorProblem, power_law, torus
from ..schedules import power_tilt, static_weights
from ._case import Case, Settings, apart, ratio, timed
from ._limits import gemm
from ._program import Compiled
from ._result import CaseResult, Figure
from ._timing import spread

_BATCH, _NOISE = 4.0, 0.01
_TIMED_STEPS = 2_000  # of the scan, whose steps all cost the same
_COMPARED = 4  # schedules that the scan takes through all steps
_EXPONENT = 1.5  # of the drift
_SAME = 1e-8  # what the steps at once and one by one may differ by


def _losses(problem: Any, times: np.ndarray, dynamics: Any) -> Callable[[Any, Any], Array]:
    """(problem, exponents) -> losses of power tilts, shape (schedules, times)."""

    def losses(problem, exponents):
        return jax.vmap(lambda s: simulate(problem, power_tilt(s), times, dynamics=dynamics, throw=False).loss)(
            exponents
        )

    return losses


def _counts(steps: int, intervals: int) -> np.ndarray:
    """Numbers of steps at which to refresh, as even in the logarithm as whole numbers can be."""
    points = intervals
    while len(counts := log_steps(1, steps, points)) <= intervals:
        points += 1
    return np.delete(counts, np.arange(1, len(counts) - intervals))


def _tilted(problem: ModalProblem, exponent: Any) -> tuple[Array, Array]:
    """Weights of a power tilt, and the eigenvalues that it samples."""
    weights = problem.eigenvalues**-exponent
    weights = weights / jnp.sum(problem.mass * weights)
    return weights, problem.eigenvalues * weights


def _scanned(rate: float, counts: np.ndarray, problem: ModalProblem, exponents: Array) -> Array:
    """Loss after each of `counts` steps, one step at a time, shape (schedules, counts - 1)."""
    whole = counts.astype(np.int32)

    def one(exponent):
        weights, sampled = _tilted(problem, exponent)
        keep = 1 - 2 * rate * sampled + (1 + 1 / _BATCH) * (rate * sampled) ** 2
        gain, seen = rate**2 / _BATCH * problem.eigenvalues * sampled, problem.multiplicity * weights

        def step(_, energy):
            return keep * energy + gain * (seen @ energy + _NOISE)

        def interval(energy, ends):
            energy = jax.lax.fori_loop(ends[0], ends[1], step, energy)
            return energy, 0.5 * jnp.sum(problem.multiplicity * energy)

        return jax.lax.scan(interval, problem.energies, (whole[:-1], whole[1:]))[1]

    return jax.vmap(one)(exponents)


def _by_eigenvectors(rate: float, steps: int, problem: ModalProblem, exponents: Array) -> Array:
    """Loss after all steps, through the eigenvectors of one, shape (schedules,).

    With the energies scaled by sqrt(m w / (lam lam~)) a step is symmetric.
    """

    def one(exponent):
        weights, sampled = _tilted(problem, exponent)
        scale = jnp.sqrt(problem.multiplicity * weights / (problem.eigenvalues * sampled))
        vector = scale * problem.eigenvalues * sampled
        generator = jnp.diag(sampled * (2 - (1 + 1 / _BATCH) * rate * sampled)) - rate / _BATCH * jnp.outer(
            vector, vector
        )
        values, vectors = jnp.linalg.eigh(generator)
        log_decay = steps * jnp.log1p(-rate * values)
        source = rate / _BATCH * _NOISE * (vectors.T @ vector)
        energy = jnp.exp(log_decay) * (vectors.T @ (scale * problem.energies)) - jnp.expm1(log_decay) / values * source
        return 0.5 * jnp.sum(problem.multiplicity * (vectors @ energy) / scale)

    return jax.vmap(one)(exponents)


def _sgd(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    problem = power_law(2.0, 2.0, max_mode=1e7, nodes=sizes["nodes"])
    steps, rate = sizes["steps"], float(1 / ((1 + 2 / _BATCH) * problem.trace))  # half of what is stable for certain
    counts, exponents = _counts(steps, sizes["intervals"]), jnp.linspace(0, 0.5, sizes["schedules"])
    few = exponents[:: max(1, len(exponents) // _COMPARED)]
    build = partial(Compiled, dtype=np.float64)
    at_once = lambda counts: _losses(problem, counts, SGDMoments(rate, _BATCH, _NOISE))
    ours = build("SGD moments", at_once(counts), problem, exponents)
    taken = min(steps, _TIMED_STEPS)
    scan = build("every step", partial(_scanned, rate, np.array([0, taken])), problem, exponents)
    whole = jax.jit(partial(_scanned, rate, counts))(problem, few)
    difference = apart(jax.jit(at_once(counts))(problem, few)[:, 1:], whole)
    once = build("SGD moments, one interval", at_once(np.array([0, steps])), problem, few)
    eigh = build("eigenvectors, one interval", partial(_by_eigenvectors, rate, steps), problem, few)
    seconds = timed(settings, result, {"ours": ours, "scan": scan, "once": once, "eigh": eigh})
    result.figures += [
        ratio(
            "times the scan that takes every step",
            *(seconds["scan"], seconds["ours"]),
            factor=steps / taken,
            difference=difference,
            tolerance=_SAME,
            note=f"the scan is timed over {taken:,} steps; results compared after all of them, {len(few)} schedules",
            target="sgd/scan",
        ),
        ratio(
            "times eigenvectors, one interval",
            *(seconds["eigh"], seconds["once"]),
            difference=apart(once.result[:, -1], eigh.result),
            tolerance=_SAME,
            note=f"{steps:,} steps, {len(few)} schedules: the other way to take many steps at once",
        ),
    ]


def _pool(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """The exact moments against the products they consist of; real training against the moments."""
    examples, features, steps = sizes["examples"], sizes["features"], sizes["steps"]
    whole = torus(2.0, 2.0, examples)
    problem = OperatorProblem(whole.features[:, :features], whole.targets)
    rate = float(0.5 / problem.trace)
    weights = jax.nn.softmax(jnp.asarray(np.random.default_rng(0).standard_normal(examples))) * examples
    grid, options = np.array([0, steps]), {"noise_variance": _NOISE, "max_steps": steps}

    def losses(problem, weights):
        dynamics = PoolMoments(rate, _BATCH, **options)
        return simulate(problem, static_weights(weights), grid, dynamics=dynamics, throw=False).loss

    def trained(problem, weights, keys):
        dynamics = PoolTraining(rate, int(_BATCH), **options)
        run = lambda key: simulate(problem, static_weights(weights), grid, dynamics=dynamics, key=key, throw=False).loss
        return jax.vmap(run)(keys)

    ours = Compiled("pool moments", losses, problem, weights, dtype=np.float64)
    keys = jax.random.split(jax.random.key(0), sizes["seeds"])
    real = Compiled("training", trained, problem, weights, keys, dtype=np.float64)
    product, product_flops = gemm(np.float64)
    seconds = timed(settings, result, {"ours": ours, "real": real, "gemm": product})
    # residual times moments, its weighted sum with the features, and two products of matrices with the moments
    flops = steps * (4.0 * examples * features**2 + 4.0 * features**3)
    sample = np.asarray(real.result)[:, -1]
    apart_by = float(abs(sample.mean() - ours.result[-1]) / (sample.std() / np.sqrt(len(sample))))
    result.figures += [
        ratio(
            "share of the GEMM peak",
            *(seconds["gemm"], seconds["ours"]),
            factor=flops / product_flops,
            unit="share",
            note="4 N K^2 + 4 K^3 operations a step",
        ),
        Figure(
            "training apart from the moments",
            spread([apart_by]),
            "standard errors",
            note=f"loss after {steps} steps, mean of {len(sample)} seeds, standard error "
            f"{sample.std() / np.sqrt(len(sample)) / sample.mean():.1e} of it",
        ),
    ]


def _transport(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """The slower drift sweeps shells at the top of the spectrum about a hundred times, the other a thousand."""
    middle = np.geomspace(1, 1e-12, 2 * sizes["shells"] + 1)[1::2]
    problem = log_shells(middle**0.5, 1.0, 1e-12, multiplicity=middle**-0.5)  # alpha = beta = 2
    times = log_times(1e-1, 1e3, sizes["refreshes"] + 1)
    exponents = jnp.linspace(0, 0.5, sizes["schedules"])
    build = lambda name, dynamics: Compiled(
        name, _losses(problem, times, dynamics), problem, exponents, dtype=np.float64
    )
    drifts = {"transport": 0.01, "transport, ten times the drift": 0.1}
    calls = {name: build(name, ShellTransport(_EXPONENT, drift)) for name, drift in drifts.items()}
    flow, still = build("flow", ModalFlow()), build("transport without drift", ShellTransport(_EXPONENT, 0.0))
    seconds = timed(settings, result, {"flow": flow, **calls})
    for name, drift in drifts.items():
        steps = np.asarray(ShellTransport(_EXPONENT, drift).steps_of(problem, times))
        result.figures.append(
            ratio(
                f"{name}, over gradient flow",
                *(seconds[name], seconds["flow"]),
                difference=apart(still.result, flow.result),
                tolerance=1e-10,
                note=f"drift {drift:g} lam^{_EXPONENT:g}: {steps.mean():.1f} steps an interval, {steps.max():.0f} in "
                "the longest; power tilts; the difference is that without drift",
                target="transport" if name == "transport" else None,
                less_is_better=True,
            )
        )


def _wide(sizes: dict[str, int], columns: int) -> int:
    return 8 * sizes["schedules"] * columns * (sizes["nodes"] if "nodes" in sizes else sizes["shells"])


CASES = (
    Case(
        "sgd",
        "SGD moments, many steps at once, float64",
        {"schedules": 1024, "steps": 1_000_000, "intervals": 200, "nodes": 256},
        {"schedules": 64, "steps": 10_000, "intervals": 40, "nodes": 128},
        lambda sizes: _wide(sizes, 40) + 8 * _COMPARED * 3 * sizes["nodes"] ** 2,
        _sgd,
    ),
    Case(
        "pool",
        "SGD on a finite pool, exact moments and training, float64",
        {"examples": 1024, "features": 512, "steps": 32, "seeds": 256},
        {"examples": 256, "features": 64, "steps": 16, "seeds": 64},
        lambda sizes: 8 * (8 * sizes["features"] ** 2 + sizes["examples"] * (6 * sizes["features"] + sizes["seeds"])),
        _pool,
        scaled="examples",
    ),
    Case(
        "transport",
        "Spectral transport against gradient flow on the same shells, float64",
        {"schedules": 1024, "shells": 256, "refreshes": 200},
        {"schedules": 64, "shells": 128, "refreshes": 50},
        lambda sizes: _wide(sizes, 24),
        _transport,
    ),
)
