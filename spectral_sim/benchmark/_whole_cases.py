"""What users call as a whole: many kinds at once, static runs on data, sweeps, a search for a schedule, a fit."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._simulate import simulate
from .._simulate_many import simulate_many
from .._times import log_steps, log_times
from ..dynamics import SGDMoments
from ..fitting import Curve, fit_curves
from ..learning import anytime_log_loss, learn
from ..problems import OperatorProblem, power_law
from ..schedules import (
    TableSchedule,
    add_noise,
    chain,
    clip,
    delay,
    leverage_sampling,
    power_tilt,
    proportional,
)
from ..sweeps import AnytimeSpeedup, grid, sweep
from ._case import Case, Settings, apart, ratio, timed
from ._closed_cases import KINDS
from ._modal_task import bare_losses
from ._operator_task import OperatorTask
from ._program import Compiled, uncached
from ._result import CaseResult, Figure
from ._timing import interleaved, seconds_of, spread

_FEW = 3  # rounds where each compiles anew
_METRICS = "final_loss", "exponent", "max_weight", AnytimeSpeedup(horizons=33)
_TILT, _PRACTICAL = "power tilts", "practical oracles"


def _anew(call: Callable[[], Any]) -> float:
    """Seconds of a call with nothing compiled before."""
    jax.clear_caches()
    with uncached():
        begin = time.perf_counter()
        jax.block_until_ready(call())
        return time.perf_counter() - begin


def _together(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """First calls: tracing, compiling and running."""
    problem = power_law(2.0, 2.0, max_mode=1e7, nodes=sizes["nodes"])
    times, key = log_times(1e-1, 1e4, sizes["refreshes"] + 1), jax.random.key(0)
    schedules = {name: kind.build(kind.high) for name, kind in list(KINDS.items())[: sizes["kinds"]]}
    together = lambda: simulate_many(problem, schedules, times, key=key).loss
    alone = lambda: [simulate(problem, schedule, times, key=key).loss for schedule in schedules.values()]
    seconds = [(_anew(together), _anew(alone)) for _ in range(min(settings.rounds, _FEW))]
    result.figures.append(
        ratio(
            "first call, over one by one",
            *map(np.array, zip(*seconds, strict=True)),
            difference=apart(together(), np.stack(alone())),
            tolerance=1e-9,
            note=f"{len(schedules)} kinds, {seconds[0][0]:.1f} s against {seconds[0][1]:.1f} s",
            target="together",
            less_is_better=True,
        )
    )


def _static(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """Static weights on data: NumPy takes the eigenvectors of M_w once, and all times from them."""
    problem = OperatorTask(1, sizes["examples"], sizes["features"]).problem
    scale = float(problem.trace)
    times = log_times(1e-1 / scale, 1e4 / scale, sizes["refreshes"] + 1)
    schedule = leverage_sampling()
    save = lambda observation, weights: weights
    weights = np.asarray(simulate(problem, schedule, times[:2], save=save).saved[0])
    losses = lambda problem: simulate(problem, schedule, times, throw=False).loss
    ours = Compiled("static run on data", losses, problem, dtype=np.float64)
    calls = {"ours": ours, "numpy": partial(_by_eigenvectors, problem, weights, times)}
    seconds = timed(settings, result, calls)
    result.figures.append(
        ratio(
            "over one eigendecomposition in NumPy",
            *(seconds["ours"], seconds["numpy"]),
            difference=apart(ours.result, calls["numpy"]()),
            tolerance=1e-6,
            note=f"leverage sampling, {sizes['refreshes']} refreshes, losses at all of them",
            target="static-data",
            less_is_better=True,
        )
    )


def _by_eigenvectors(problem: OperatorProblem, weights: np.ndarray, times: np.ndarray) -> np.ndarray:
    features, targets, mass = (np.asarray(x) for x in (problem.features, problem.targets[:, 0], problem.example_mass))
    scaled = (mass * weights)[:, None] * features
    values, vectors = np.linalg.eigh(features.T @ scaled)
    values = np.maximum(values, np.finfo(values.dtype).tiny)[:, None]
    parameters = vectors @ (-np.expm1(-values * times) / values * (vectors.T @ (scaled.T @ targets))[:, None])
    return 0.5 * mass @ (targets[:, None] - features @ parameters) ** 2


def _sweep(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """Rows a second once everything is compiled: the time between the first chunk and the last."""
    problem = power_law(np.float32(2), np.float32(2), max_mode=1e7, nodes=sizes["nodes"])
    times, chunk = log_times(1e-1, 1e6, sizes["refreshes"] + 1), sizes["chunk"]
    side = int((chunk * sizes["chunks"]) ** 0.5)
    oracle = chain(delay(1.0), add_noise(0.5), proportional(1.0), clip(0.0, 10.0))
    rows = {
        _TILT: grid(power_tilt(0.5, cutoff=30.0), exponent=np.linspace(0, 1, side), cutoff=np.geomspace(10, 1e6, side)),
        _PRACTICAL: grid(
            oracle, **{"delay.tau": np.geomspace(0.1, 100, side), "clip.high": np.geomspace(2, 1e5, side)}
        ),
    }
    exponents = jnp.linspace(0, 1, chunk, dtype=jnp.float32)
    mesh = Mesh(np.array(jax.local_devices()), ("schedules",))
    by_row = PartitionSpec("schedules")
    losses = partial(bare_losses, problem, times)
    split = jax.shard_map(losses, mesh=mesh, in_specs=by_row, out_specs=by_row, check_vma=False)
    bare = Compiled("bare loop", split, jax.device_put(exponents, NamedSharding(mesh, by_row)), dtype=np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in ("bare loop", *rows)}
    for _ in range(min(settings.rounds, _FEW)):
        for name, spec in rows.items():
            marks: list[float] = []
            note = lambda state, marks=marks: marks.append(state.seconds)
            sweep(problem, spec, times, metrics=_METRICS, chunk_size=chunk, key=jax.random.key(0), progress=note)
            seconds[name].append((marks[-1] - marks[0]) / (len(marks) - 1))
        seconds["bare loop"].append(float(interleaved({"bare": bare}, 3)["bare"].min()))
    found = {name: np.array(values) for name, values in seconds.items()}
    note = f"{', '.join(map(str, _METRICS[:3]))} and the anytime speed-up, chunks of {chunk:,} rows"
    result.figures += [
        ratio(
            "rows a second, share of the bare loop",
            *(found["bare loop"], found[_TILT]),
            unit="share",
            note=f"power tilts; {note}",
            target="sweep/bare",
        ),
        ratio(
            "practical oracles, rows a second over power tilts",
            *(found[_TILT], found[_PRACTICAL]),
            unit="share",
            note="delay, noise, sampling in proportion, cap",
            target="sweep/practical",
        ),
        Figure("rows a second", spread(chunk / found[_TILT]), "rows/s"),
    ]


def _learn(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """A search from call to answer, over the gradients that it takes."""
    problem = power_law(2.0, 2.0, max_mode=1e7, nodes=sizes["nodes"])
    times, objective = log_times(1e-1, 1e4, sizes["refreshes"] + 1), anytime_log_loss()
    start = TableSchedule.create(problem, times)
    score = lambda problem, schedule: objective(simulate(problem, schedule, times, throw=False))
    gradient = Compiled("gradient", jax.grad(score, 1, allow_int=True), problem, start, dtype=np.float64)
    search = lambda: learn(problem, start, times, objective=objective, steps=sizes["steps"]).history
    search()
    seconds = timed(settings, result, {"learn": search, "gradient": gradient}, min(settings.rounds, _FEW))
    result.figures.append(
        ratio(
            "a search, over its gradients alone",
            *(seconds["learn"] / sizes["steps"], seconds["gradient"]),
            note=f"{sizes['steps']} steps on a table, the gap to water-filling included; second call",
            less_is_better=True,
        )
    )


def _curves(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """A fit of loss curves, over the losses of one set of parameters."""
    problem = power_law(2.0, 2.0, max_mode=1e8, nodes=sizes["nodes"])
    steps = log_steps(1, 10_000, sizes["points"])
    losses = lambda rate: simulate(problem, power_tilt(0.0), steps, dynamics=SGDMoments(rate, 8.0, 0.01)).loss
    curves = {f"rate {rate:g}": Curve(steps[1:], np.asarray(losses(rate))[1:], rate) for rate in (0.01, 0.02)}
    one = Compiled("losses", lambda rate: losses(rate), jnp.asarray(0.01), dtype=np.float64)
    fit = lambda: fit_curves(curves, noise_exponent=0.0, nodes=sizes["nodes"]).covariance
    cold, warm = _anew(fit), np.array([seconds_of(fit)])
    result.figures.append(
        ratio(
            "a fit, over one simulation of a curve",
            *(warm, interleaved({"one": one}, 1)["one"]),
            note=f"two curves of {len(steps) - 1} points; first call {cold:.1f} s, second {warm[0]:.1f} s",
            less_is_better=True,
        )
    )


def _small(sizes: dict[str, int]) -> int:
    return 2**28


CASES = (
    Case(
        "together",
        "Schedules of different kinds, first call of simulate_many, float64",
        {"kinds": 12, "nodes": 256, "refreshes": 100},
        {"kinds": 4, "nodes": 64, "refreshes": 20},
        _small,
        _together,
        scaled="kinds",
    ),
    Case(
        "static-data",
        "A static run on data, float64",
        {"examples": 800, "features": 800, "refreshes": 122},
        {"examples": 128, "features": 64, "refreshes": 20},
        lambda sizes: 8 * sizes["examples"] * (12 * sizes["features"] + 4 * sizes["refreshes"]),
        _static,
        scaled="examples",
    ),
    Case(
        "sweep",
        "Sweeps with metrics, float32",
        {"chunk": 4096, "chunks": 4, "nodes": 256, "refreshes": 256},
        {"chunk": 256, "chunks": 4, "nodes": 64, "refreshes": 40},
        lambda sizes: 4 * sizes["chunk"] * (60 * sizes["nodes"] + 8 * sizes["refreshes"]),
        _sweep,
        scaled="chunk",
    ),
    Case(
        "learn",
        "A search for a schedule on modes, float64",
        {"nodes": 256, "refreshes": 100, "steps": 200},
        {"nodes": 64, "refreshes": 20, "steps": 10},
        _small,
        _learn,
        scaled="nodes",
    ),
    Case(
        "curves",
        "A fit of loss curves, float64",
        {"nodes": 64, "points": 60},
        {"nodes": 16, "points": 30},
        _small,
        _curves,
        scaled="nodes",
    ),
)
