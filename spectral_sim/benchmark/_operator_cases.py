"""Data problems against the GEMM peak, eigenvectors, SciPy and diffrax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._times import log_times
from ._case import Case, Settings, apart_by_row, ratio
from ._limits import gemm
from ._operator_task import (
    OperatorTask,
    Work,
    by_dop853,
    by_expm,
    diffrax_run,
    interval_systems,
    our_advance,
    our_run,
    product_pair,
)
from ._program import Body, Compiled
from ._result import CaseResult, Figure
from ._rivals import Rival, against
from ._timing import interleaved, spread

TOLERANCE = 1e-8
_EXACT, _NEARLY_EXACT = 1e-13, 1e-10  # what expm_multiply reaches, whatever is asked, and what rounding leaves of it
_RATES = (1.0, 1e2, 1e3, 1e4, 1e5)  # h R
_RUN_TOLERANCE, _RUN_ACCURACY = 1e-6, 1e-5  # of each step, and of losses at the end of many
_GEMM_AT = 1e2  # where products make up the time
_REFRESHES = 100
_SLOW_ROUNDS = 3  # of implicit solvers, which take ten seconds


def operator_program(
    task: OperatorTask, duration: Any, tolerance: float | None, method: str = "auto", work: Work | None = None
) -> Compiled:
    """One interval of `OperatorFlow` for a batch, compiled.

    With its work, the inner loop is counted where that is the pair of products with Phi.
    """
    body, dtype = None, task.problem.dtype
    if work is not None and work.route == "features":
        rows = jnp.zeros((task.sizes["schedules"], task.sizes["features"]), dtype)
        body = Body(product_pair, (task.problem.features, task.weights, rows), work.terms)
    arguments = task.problem, task.weights, duration
    return Compiled(f"operator, {method}", our_advance(method, tolerance), *arguments, body=body, dtype=dtype)


def _advance(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """One interval at several hR: the chosen route against eigenvectors; at hR = 100 also against the GEMM peak."""
    task = OperatorTask(sizes["schedules"], sizes["examples"], sizes["features"])
    product, product_flops = gemm(np.float64)
    eigh = operator_program(task, task.duration(_GEMM_AT), None, "eigh")  # its time does not depend on h
    exact = jax.jit(our_advance("eigh", None))
    work = {_GEMM_AT: task.work(task.duration(_GEMM_AT), TOLERANCE)}
    ours = {hr: operator_program(task, task.duration(hr), TOLERANCE, work=work.get(hr)) for hr in _RATES}
    calls: dict[str, Callable[[], Any]] = {f"{hr:g}": program for hr, program in ours.items()}
    seconds = interleaved({**calls, "eigh": eigh, "gemm": product}, settings.rounds)
    at_peak = seconds[f"{_GEMM_AT:g}"]
    result.programs += [ours[_GEMM_AT].measured(at_peak), eigh.measured(seconds["eigh"])]
    pair, where = (seconds["gemm"], at_peak), f"hR = {_GEMM_AT:g}"
    result.figures.append(
        gemm_share("share of the GEMM peak", work[_GEMM_AT], where, *pair, product_flops, "operator/gemm")
    )
    slower, differences = [], []
    for hr, program in ours.items():
        mine, theirs = seconds[f"{hr:g}"], seconds["eigh"]
        difference = apart_by_row(program.result, exact(task.problem, task.weights, task.duration(hr)))
        note, target = f"tolerance {TOLERANCE:g}", {1e2: "operator/eigh-1e2", 1e4: "operator/eigh-1e4"}.get(hr)
        name = f"times eigenvectors at hR = {hr:g}"
        result.figures.append(
            ratio(
                *(name, theirs, mine),
                difference=difference,
                errors=(difference, 0.0),  # eigenvectors are the reference
                tolerance=TOLERANCE,
                note=note,
                target=target,
            )
        )
        slower.append(spread(mine / theirs))
        differences.append(difference)
    worst = max(slower, key=lambda value: value.median)
    note = f"hR = {', '.join(f'{hr:g}' for hr in _RATES)}"
    result.figures.append(
        Figure(
            "chosen route over eigenvectors, worst of all hR",
            worst,
            difference=float(np.max(differences)),
            tolerance=TOLERANCE,
            note=note,
            target="operator/auto",
            less_is_better=True,
        )
    )


def gemm_share(
    name: str,
    work: Work | None,
    where: str,
    product: np.ndarray,
    ours: np.ndarray,
    product_flops: float,
    target: str,
) -> Figure:
    """Flops a second over those of a large product, where our flops are known."""
    if work is None:
        return Figure(name, None, "share", note=f"{where}: this route does not consist of products", target=target)
    note = f"{work.words}, {where}"
    return ratio(name, product, ours, factor=work.flops / product_flops, unit="share", note=note, target=target)


def _scipy(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """SciPy at hR = 100, one schedule after the other: it has no batches."""
    task = OperatorTask(sizes["schedules"], sizes["examples"], sizes["features"])
    duration = task.duration(100.0)
    reference = jax.jit(our_advance("eigh", None))(task.problem, task.weights, duration)
    slow = lambda: by_dop853(task, float(duration), TOLERANCE)
    for title, tolerance, accuracy, build in (
        ("times SciPy expm_multiply", _EXACT, _NEARLY_EXACT, lambda: by_expm(task, float(duration))),
        ("times SciPy solve_ivp, DOP853", TOLERANCE, 10 * TOLERANCE, slow),
    ):
        ours = operator_program(task, duration, tolerance)
        peer = Rival(title, build, note=f"hR = 100; {{errors}} at tolerance {tolerance:g}")
        result.figures += against(settings, result, ours, [peer], reference, accuracy, difference=apart_by_row)[1]


def _run(settings: Settings, sizes: dict[str, int], result: CaseResult) -> None:
    """A whole run with new weights at each refresh, by solvers that take what steps they need."""
    task = OperatorTask(sizes["schedules"], sizes["examples"], sizes["features"])
    times = log_times(1e-1 / task.trace, 1e4 / task.trace, _REFRESHES + 1)
    shape = sizes["schedules"], len(times), sizes["examples"]
    tables = jnp.asarray(0.5 * np.random.default_rng(1).standard_normal(shape))
    build = lambda losses, name, held: Compiled(name, losses, task.problem, held, dtype=np.float64)
    systems = interval_systems(task.problem, tables)  # given to the peers; we form what we need of it ourselves
    exact = build(our_run(times, "eigh", None), "eigenvectors", tables).result
    ours = build(our_run(times, "auto", _RUN_TOLERANCE), "operator run", tables)
    rounds = min(settings.rounds, _SLOW_ROUNDS)
    for solver, tolerance, target in (
        ("Kvaerno5", _RUN_TOLERANCE, "operator/diffrax"),
        ("Tsit5", _RUN_TOLERANCE / 4, None),
    ):
        name = f"diffrax {solver}"
        note = (
            f"M_w given for each of {_REFRESHES} refreshes to t = 1e4 / R, {sizes['schedules']} x {sizes['examples']} "
            f"x {sizes['features']}; loss: {{errors}} (rtol {tolerance:g})"
        )
        make = lambda solver=solver, tolerance=tolerance: build(
            diffrax_run(times, solver, tolerance), f"diffrax {solver}", systems
        )
        peer = Rival(f"times {name}", make, target, note)
        seconds, (figure,) = against(settings, result, ours, [peer], exact, _RUN_ACCURACY, rounds=rounds)
        result.figures.append(figure)
        if solver == "Tsit5" and figure.value is not None:
            accuracy = {"errors": figure.errors, "tolerance": _RUN_ACCURACY, "note": figure.note}
            pair, less = (seconds["ours"], seconds[peer.title]), {"target": "operator/tsit5", "less_is_better": True}
            result.figures.append(ratio(f"seconds over those of {name}", *pair, **less, **accuracy))


def _bytes(sizes: dict[str, int]) -> int:
    schedules, examples, features = (sizes[name] for name in ("schedules", "examples", "features"))
    # features and what is weighted, matrices and eigenvectors of every member, rows on examples and features
    return 8 * (
        schedules * (examples * features + 5 * features**2 + 6 * (examples + features)) + 4 * examples * features
    )


CASES = (
    Case(
        "operator",
        "Operator, one interval, float64, tolerance 1e-8: vmap of OperatorFlow.advance",
        {"schedules": 32, "examples": 2048, "features": 512},
        {"schedules": 16, "examples": 1024, "features": 256},
        _bytes,
        _advance,
    ),
    Case(
        "operator-scipy",
        "Operator, one interval against SciPy, float64",
        {"schedules": 32, "examples": 2048, "features": 512},
        {"schedules": 8, "examples": 512, "features": 128},
        _bytes,
        _scipy,
    ),
    Case(
        "operator-run",
        "Operator, 100 refreshes against adaptive solvers, float64",
        {"schedules": 1, "examples": 2048, "features": 512},
        {"schedules": 1, "examples": 64, "features": 24},
        lambda sizes: _bytes(sizes) + 16 * sizes["schedules"] * _REFRESHES * sizes["features"] ** 2,
        _run,
    ),
)
