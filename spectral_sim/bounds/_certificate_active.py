"""Cutting planes over examples: the interior point method sees only those whose conditions bind."""

import dataclasses

import numpy as np

from ._certificate_interior import MANY, InteriorMethod, InteriorPoint
from ._certificate_multiplier import Multiplier
from ._certificate_task import CertificateTask
from ._certificate_transfers import settled

_ADDED = 32  # examples that a round takes in
_ROUNDS = 12


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


def scalable_multipliers(
    tasks: list[CertificateTask],
    knots: np.ndarray,
    degree: int,
    cap: float | None,
    tolerance: float,
    begin: list[Multiplier] | None = None,
) -> Found:
    """The best multipliers on given pieces, of one output or of several that serve one schedule.

    Arguments:
        tasks: one for each output.
        knots: from 0 to the horizon in units of the task, shape (pieces + 1,).
        degree: of the polynomial on each piece, at least 1.
        cap: largest weight, above 1; None for none. Not for several outputs.
        tolerance: how near to the best multipliers the search goes, relative.
        begin: multipliers on as many pieces, such as those of a nearby horizon, to begin near.
    """
    choices = len(tasks[0].generators)
    controls = None if begin is None else [multiplier.control for multiplier in begin]
    active = np.arange(choices) if cap is not None or choices <= MANY else _most_moving(tasks)
    for _ in range(_ROUNDS):
        method = InteriorMethod([_restricted(task, active) for task in tasks], knots, degree, cap)
        point = method.solve(tolerance, controls)
        prices = method.prices(point)
        if prices is not None:
            prices = prices.reshape(len(knots) - 1, degree + 1, *prices.shape[1:])
        controls = point.controls
        multipliers, excess, cost = settled(tasks, [Multiplier(knots, control, prices) for control in controls])
        excess[active] = 0
        value = sum(float(task.start @ control[0] @ task.start) for task, control in zip(tasks, controls, strict=True))
        if point.interrupted or len(active) == choices or cost <= tolerance / 4 * abs(value):
            return _found(method, point, multipliers, active, choices)
        worst = np.argsort(-excess)[:_ADDED]
        active = np.sort(np.concatenate([active, worst[excess[worst] > 0]]))
    return dataclasses.replace(_found(method, point, multipliers, active, choices), finished=False)


def _found(method: InteriorMethod, point: InteriorPoint, multipliers, active, choices: int) -> Found:
    part = method.shares(point)
    shares = np.zeros((len(part), choices))
    shares[:, active] = part
    limit = point.upper if np.isfinite(point.upper) else np.nan
    return Found(multipliers, limit, shares, point.finished and not point.interrupted, point.interrupted)


def _most_moving(tasks: list[CertificateTask]) -> np.ndarray:
    """The choices that move the initial state most."""
    speed = sum(np.sum((task.generators @ task.start) ** 2, axis=1) for task in tasks)
    return np.sort(np.argsort(-speed)[: MANY // 2])


def _restricted(task: CertificateTask, active: np.ndarray) -> CertificateTask:
    shares = task.shares[active]
    return dataclasses.replace(task, generators=task.generators[active], shares=shares / shares.sum())
