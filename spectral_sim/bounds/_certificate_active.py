"""Cutting planes over examples: the interior point method sees only those whose conditions bind."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ._certificate_cost import first_round
from ._certificate_interior import InteriorMethod, InteriorPoint
from ._certificate_multiplier import Multiplier
from ._certificate_task import CertificateTask
from ._certificate_transfers import settled

_LOOSE = 0.3  # tolerance until no example is overlooked


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search for multipliers ended with.

    Arguments:
        multipliers: one for each output, not yet repaired.
        limit: no multipliers on these pieces give a larger bound, in units of the tasks; NaN while not known.
        shares: the part of the time of each choice in the relaxed problem's best schedule, shape (conditions, choices).
        finished: whether the bound is within the tolerance of `limit`, and no example was overlooked.
        interrupted: whether the keyboard ended the search.
    """

    multipliers: list[Multiplier]
    limit: float
    shares: np.ndarray
    finished: bool
    interrupted: bool


def undisturbed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, bool]:
    """What a short function returns, which an interrupt only makes begin again, and whether one came."""
    try:
        return function(*arguments), False
    except KeyboardInterrupt:
        return function(*arguments), True


def scalable_multipliers(
    tasks: list[CertificateTask],
    knots: np.ndarray,
    degree: int,
    cap: float | None,
    tolerance: float,
    told: Callable[[float], None] | None = None,
) -> Found:
    """The best multipliers on given pieces, of one output or of several that serve one schedule.

    Arguments:
        tasks: one for each output.
        knots: from 0 to the horizon in units of the task, shape (pieces + 1,).
        degree: of the polynomial on each piece, at least 1.
        cap: largest weight, above 1; None for none. Not for several outputs.
        tolerance: how near to the best multipliers the search goes, relative.
        told: called before each step with the bound so far, in units of the tasks, which is not proven yet.
    """
    choices, point, known, best, kept = len(tasks[0].generators), None, None, -np.inf, []
    begun = choices if cap is not None else first_round(choices, len(tasks))
    whole = begun == choices
    # spread evenly: a choice of those that move the state most may leave the programme unbounded
    active = np.unique(np.linspace(0, choices - 1, begun).astype(int))
    near = tolerance if whole else max(tolerance, _LOOSE)  # what binds shows long before the end
    while True:
        method = InteriorMethod([_restricted(task, active) for task in tasks], knots, degree, cap)
        point = method.solve(near, point, known, told)
        prices = method.prices(point)
        if prices is not None:
            prices = prices.reshape(len(knots) - 1, degree + 1, *prices.shape[1:])
        found = [Multiplier(knots, control, prices) for control in point.controls]
        (multipliers, excess, cost), stopped = undisturbed(settled, tasks, found)
        point.interrupted = point.interrupted or stopped
        excess[active] = 0
        value = sum(float(task.start @ m.control[0] @ task.start) for task, m in zip(tasks, found, strict=True))
        if not kept or value - cost > best:  # a round that is cut short may prove less than the one before it
            best, kept = value - cost, multipliers
        holds = cost <= tolerance / 4 * abs(value) or len(active) == choices
        if point.interrupted or (holds and near <= tolerance):
            break
        if holds:
            near, known = tolerance, np.arange(len(active))
            continue
        worst = np.argsort(-excess)[: len(active)]
        taken = np.sort(np.concatenate([active, worst[excess[worst] > 0]]))
        if len(taken) == len(active):
            break
        known, active = np.searchsorted(taken, active), taken
    return _found(method, point, kept, active, choices, holds)


def _found(method: InteriorMethod, point: InteriorPoint, multipliers, active, choices: int, holds: bool) -> Found:
    part = method.shares(point)
    shares = np.zeros((len(part), choices))
    shares[:, active] = part
    limit = point.upper if np.isfinite(point.upper) else np.nan
    return Found(multipliers, limit, shares, point.finished and holds and not point.interrupted, point.interrupted)


def _restricted(task: CertificateTask, active: np.ndarray) -> CertificateTask:
    shares = task.shares[active]
    return dataclasses.replace(task, generators=task.generators[active], shares=shares / shares.sum())
