"""How much any schedule could give: a proven and nearly tight bound for data problems."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .._checks import check_choice, check_finite, check_length, check_ndim, check_positive, check_times, check_whole
from .._types import ArrayLike
from ..problems import AbstractProblem, OperatorProblem
from ._certificate_active import Found, scalable_multipliers, undisturbed
from ._certificate_cost import DEGREE, MEMORY, PIECES, is_linked, memory_needed, shape_of
from ._certificate_exact import exact_multipliers
from ._certificate_multiplier import Multiplier, hold, proven_loss, repaired
from ._certificate_result import Certificate
from ._certificate_task import CertificateTask, certificate_tasks

_CROWDING = 1.5  # pieces crowd towards the horizon, where the multiplier bends most
_PRICED = 4000  # unknown prices at one point in time, up to which a cap is taken into account
_EXACT_STATE, _EXACT_SIZE = 49, 24 * 24


def certificate(
    problem: AbstractProblem,
    times: ArrayLike,
    *,
    horizon: ArrayLike | None = None,
    pieces: int = PIECES,
    cap: float | None = None,
    groups: ArrayLike | None = None,
    method: str = "auto",
    tolerance: float = 1e-2,
    key: Any = None,
    report: Callable[[float, float], None] | None = None,
) -> Certificate:
    """Prove how low no schedule whatever can bring the loss at a horizon.

    With a the distance to a solution, a' = -sum_i q_i z_i z_i^T a for shares q of the simplex. If P(T) is at most half
    the second moment of the evaluation set and dP/dt >= z_i z_i^T P + P z_i z_i^T for every example i, then a^T P(t) a
    never falls under any schedule, so that a(0)^T P(0) a(0) is a lower bound on the loss at T. The best P is the
    solution of a semidefinite programme. Whatever a solver finds is repaired by a shift and proven by separate code
    before it is returned. Targets that no parameters meet add a last coordinate that stays 1. Several outputs have a
    multiplier each, as if each could choose a schedule of its own, unless they are few.

    Arguments:
        problem: a data problem, with weights on examples, or on groups where it has them.
        times: refresh grid, shape (times,). The bound holds for any schedule on any grid.
        horizon: times to bound the loss at, a number or shape (horizons,), within `times`; the last time if None.
        pieces: intervals between the matrices that describe P in time. From 3 on they are taken in threes, rounded up,
            as pieces of degree 3. More raise the bound; the time grows in proportion.
        cap: largest weight of the schedules, at least 1; None for any. Where there are too many examples to price it
            (`Certificate.cap` is None then), the bound is that for any weights, which holds all the same.
        groups: group number of each example, for weights on groups; those of the problem if None.
        method: "scalable", the library's interior point method; "exact", cvxpy with Clarabel or SCS, for small
            problems; "auto", the scalable one.
        tolerance: how near to the best multiplier on the pieces the search goes, relative. An interrupt from the
            keyboard ends it early, with what is proven by then.
        key: not needed, as nothing is drawn; accepted so that all searches can be called alike.
        report: called before each step of the scalable search with the horizon that it is at, and the bound there so
            far in units of the loss, which is not proven yet.

    Returns:
        A `Certificate`.

    Raises:
        TypeError: a problem that is not a data problem.
        ValueError: a bad horizon, cap or number of pieces, a problem too large for the route, or features that explain
            no part of the targets.
        ImportError: method="exact" without cvxpy.
    """
    data = problem.as_operator()
    if data is None:
        raise TypeError(f"certificate is for data problems, not a {type(problem).__name__}: use ideal_oracle there.")
    check_choice("method", method, ("auto", "exact", "scalable"))
    check_whole("pieces", pieces, "12 is a good start")
    check_positive("tolerance", tolerance)
    horizons = _horizons(times, horizon)
    tasks = certificate_tasks(data, _groups(data, groups))
    route = "scalable" if method == "auto" else method
    cap = _effective_cap(cap, tasks[0], route)
    degree = min(int(pieces), DEGREE)
    count = -(-int(pieces) // degree)
    _check_size(tasks, count, degree, cap, route)
    crowded = 1 - (1 - np.linspace(0, 1, count + 1)) ** _CROWDING
    proofs: list[_Proof] = []
    for end in horizons:
        knots = crowded * end / tasks[0].time_scale
        over = any(proof.interrupted for proof in proofs)
        heard = None if report is None else functools.partial(report, float(end))
        proofs.append(_prove(tasks, knots, degree, cap, route, tolerance, over, heard))
    width = crowded[1:] - crowded[:-1]
    instants = (crowded[:-1, None] + width[:, None] * (np.arange(degree + 1) + 0.5) / (degree + 1)).ravel()
    return Certificate(
        horizon=horizons,
        loss=np.array([proof.loss for proof in proofs]),
        limit=np.array([max(proof.limit, proof.loss) for proof in proofs]),
        multiplier=tuple(proof.multipliers for proof in proofs),
        tasks=tuple(tasks),
        cap=cap,
        method=route,
        finished=np.array([proof.finished for proof in proofs]),
        shares=tuple(proof.shares for proof in proofs),
        instants=instants,
    )


@dataclasses.dataclass(frozen=True)
class _Proof:
    """What is known of one horizon; the fields are those of `Certificate`."""

    multipliers: tuple[Multiplier, ...]
    loss: float
    limit: float
    shares: np.ndarray
    finished: bool
    interrupted: bool


def _prove(tasks, knots, degree, cap, route, tolerance, interrupted: bool, told=None) -> _Proof:
    """Search for the multipliers of one horizon, unless an interrupt came before, and prove them."""
    linked = is_linked(tasks, cap)
    bundles = [tasks] if linked else [[task] for task in tasks]
    proven, limit, finished, parts = [], 0.0, True, []
    for bundle in bundles:
        constant = [_constant(task, knots, degree) for task in bundle]
        before = proven_loss(tasks[: len(proven)], proven) if proven else 0.0
        heard = _heard(told, before, proven_loss(bundle, constant), bundle[0].loss_scale)
        found = None if interrupted else _search(bundle, knots, degree, cap, route, tolerance, heard)
        if found is None:
            proven, limit, finished, interrupted = [*proven, *constant], np.nan, False, True
            continue
        limit += found.limit * bundle[0].loss_scale
        parts.append(found.shares)
        more, stopped = undisturbed(_proven, bundle, found.multipliers, cap, constant)
        interrupted, finished = found.interrupted or stopped, finished and found.finished
        proven += more
    shares = np.mean(parts, axis=0) if parts else _equal_shares(tasks[0], knots, degree)
    return _Proof(tuple(proven), proven_loss(tasks, proven), limit, shares, finished, interrupted)


def _heard(told: Callable[[float], None] | None, before: float, least: float, unit: float):
    """What a search calls: its bound is at least what no parameters remove, and adds to that of outputs before it."""
    return None if told is None else lambda value: told(before + max(value * unit, least))


def _search(tasks, knots, degree, cap, route, tolerance, told) -> Found | None:
    """What the route finds; None where the keyboard interrupts it before there is anything."""
    try:
        if route == "scalable":
            return scalable_multipliers(tasks, knots, degree, cap, tolerance, told)
        multipliers, shares = exact_multipliers(tasks, knots, degree, cap, tolerance)
        return Found(multipliers, np.nan, shares, True, False)
    except KeyboardInterrupt:
        return None


def _equal_shares(task: CertificateTask, knots: np.ndarray, degree: int) -> np.ndarray:
    return np.tile(task.shares, ((degree + 1) * (len(knots) - 1), 1))


def _proven(tasks, found: list[Multiplier], cap: float | None, constant: list[Multiplier]) -> list[Multiplier]:
    """The multipliers repaired, or the constant ones where a repair fails or leaves less than those prove."""
    if not all(np.isfinite(multiplier.control).all() for multiplier in found):
        return constant
    mended = [repaired(task, multiplier, cap) for task, multiplier in zip(tasks, found, strict=True)]
    return (
        mended if hold(tasks, mended, cap) and proven_loss(tasks, mended) > proven_loss(tasks, constant) else constant
    )


def _constant(task: CertificateTask, knots: np.ndarray, degree: int) -> Multiplier:
    """A multiplier just below a constant one, which bounds the loss by what no parameters remove.

    P = diag(0, f) meets every condition, as A_i leaves the last entry of the state alone; f is the least value of the
    terminal form over all states. Without a last entry f is 0.
    """
    nodes, size = degree * (len(knots) - 1) + 1, len(task.start)
    level = 1e-9 * np.linalg.norm(task.terminal, 2) * (1.0 + nodes - np.arange(nodes))
    control = -level[:, None, None] * np.eye(size)
    if task.augmented:
        inner, side = task.terminal[:-1, :-1], task.terminal[:-1, -1]
        floor = task.terminal[-1, -1] - side @ np.linalg.lstsq(inner, side, rcond=None)[0]
        control[:, -1, -1] += max(float(floor), 0.0)
    return repaired(task, Multiplier(knots, control), None)


def _horizons(times: ArrayLike, horizon: ArrayLike | None) -> np.ndarray:
    check_times(times)
    last = float(np.asarray(times)[-1])
    if horizon is None:
        return np.array([last])
    check_finite("horizon", horizon, "give times within the grid")
    check_positive("horizon", horizon, "no time has passed there, and the loss is the initial one")
    horizons = np.atleast_1d(np.asarray(horizon, np.float64))
    check_ndim("horizon", horizons, 1, "horizons")
    if not horizons.size:
        raise ValueError("horizon is empty: give at least one time.")
    if horizons.max() > last * (1 + 1e-6):
        raise ValueError(f"horizon {horizons.max():.6g} is beyond the last time, {last:.6g}: extend the grid to it.")
    return horizons


def _groups(problem: OperatorProblem, groups: ArrayLike | None) -> np.ndarray | None:
    if groups is None:
        return None if problem.groups is None else np.asarray(problem.groups)
    numbers = np.asarray(groups)
    check_ndim("groups", numbers, 1, "examples")
    check_length("groups", numbers, problem.features.shape[0], f"a problem with {problem.features.shape[0]} examples")
    if not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"groups has dtype {numbers.dtype}: number the groups with whole numbers from 0.")
    return np.unique(numbers, return_inverse=True)[1]


def _effective_cap(cap: float | None, task: CertificateTask, route: str) -> float | None:
    """The cap that the proof counts on: slightly above 1 at least, and none where it binds no schedule."""
    if cap is None:
        return None
    check_positive("cap", cap)
    if cap < 1:
        raise ValueError(f"cap is {float(cap):.6g}: weights of mean one need a cap of at least 1.")
    choices, size = len(task.generators), len(task.start)
    binds = cap * task.shares.min() < 1
    priced = choices * size * (size + 1) // 2 <= _PRICED or route == "exact"
    return max(float(cap), 1.001) if binds and priced else None


def _check_size(tasks: list[CertificateTask], pieces: int, degree: int, cap: float | None, route: str) -> None:
    choices, size = tasks[0].generators.shape[:2]
    if route == "exact" and (size > _EXACT_STATE or choices * size > _EXACT_SIZE):
        raise ValueError(
            f"method='exact' with {choices} examples or groups and {size} coordinates is out of reach of a general "
            f"solver (at most {_EXACT_STATE} coordinates, {_EXACT_SIZE} for their product): use method='scalable'."
        )
    needed = memory_needed(shape_of(tasks, cap), pieces, degree)
    if needed > MEMORY:
        fits = int(degree * pieces * MEMORY / needed)
        fewer = f"at most about {fits} pieces, fewer features" if fits > 1 else "fewer features"
        raise ValueError(
            f"pieces={degree * pieces} with {choices} examples or groups and {size} coordinates needs about "
            f"{needed / 1e9:.0f} GB: give {fewer}, or groups."
        )
