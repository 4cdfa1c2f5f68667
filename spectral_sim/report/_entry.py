"""One line of a comparison: a named schedule, what scoring costs it, and how it is told apart from the others."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..problems import OperatorProblem
from ..schedules import AbstractStage, curriculum, hard_pruning, leverage_sampling, stage_at, stages_of, uniform

__all__ = ["Entry", "Family", "family", "option", "scoring_charges", "stage_of", "step_charge"]

Family = Literal["uniform", "static", "open loop", "closed loop"]

_SCORED_ONCE = (hard_pruning, curriculum, leverage_sampling)


@dataclass(frozen=True)
class Entry:
    """A schedule to be assessed.

    Arguments:
        name: shown in tables, legends and files.
        schedule: the schedule.
        problem: what it runs on where that is not the problem of the comparison: the same data with weights per group.
        cost: time units that scoring all data once takes; that of the comparison if None.
        seed: seed of its random stages; that of the comparison if None.
        is_ceiling: whether it was found by looking at the loss that it is judged by: shown, and never recommended.
    """

    name: str
    schedule: AbstractStage
    problem: OperatorProblem | None = None
    cost: float | None = None
    seed: int | None = None
    is_ceiling: bool = False


def stage_of(schedule: AbstractStage, name: str) -> AbstractStage | None:
    """The only stage of that name in a schedule, if there is one."""
    try:
        return stage_at(schedule, name)
    except KeyError:
        return None


def option(stage: AbstractStage, name: str) -> float:
    """A scalar hyperparameter of a stage."""
    return float(np.asarray(getattr(stage, name)))


def family(schedule: AbstractStage) -> Family:
    """How a schedule comes by its weights; lines of a plot are styled by it."""
    if isinstance(schedule, uniform):
        return "uniform"
    if schedule.closed_loop:
        return "closed loop"
    return "static" if schedule.static else "open loop"


def step_charge(num_examples: int, trace: float, batch_size: int) -> float:
    """Time units that scoring every example once takes.

    A forward pass is a third of the compute of a training step, for each example. A step on `batch_size` examples at
    learning rate 1 / trace advances time by 1 / trace.
    """
    return num_examples / (3 * batch_size * trace)


def scoring_charges(schedule: AbstractStage, times: np.ndarray) -> np.ndarray:
    """How many times all data is scored at each refresh, shape (times,); the last entry serves no interval and is 0.

    A schedule that looks at the residual scores at every refresh, or once per period behind `stale`, or a part behind
    `subsample`. Pruning, curricula and leverage score once, at the start.
    """
    charges = np.zeros(len(times))
    if not schedule.closed_loop:
        charges[0] = float(any(isinstance(stage, _SCORED_ONCE) for stage in stages_of(schedule)))
        return charges
    charges[:-1] = 1
    stale, subsample = stage_of(schedule, "stale"), stage_of(schedule, "subsample")
    if stale is not None:
        charges[:-1] = _due(times[:-1], option(stale, "period"))
    if subsample is not None:
        charges *= option(subsample, "fraction")
    return charges


def _due(times: np.ndarray, period: float) -> np.ndarray:
    """The refreshes at which `stale` scores anew."""
    due, last = np.zeros(len(times), bool), -np.inf
    for n, time in enumerate(times):
        if time - last >= period * (1 - 1e-12):
            due[n], last = True, time
    return due
