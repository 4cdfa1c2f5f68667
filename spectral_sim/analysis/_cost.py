"""What curating costs, in the unit of training time: scoring, second models, generated labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._checks import check_non_negative, check_positive, concrete
from .._types import ArrayLike
from ..dynamics import AbstractDynamics, SelfGenerated
from ..problems import AbstractProblem, OperatorProblem
from ..schedules import (
    AbstractStage,
    complement,
    curriculum,
    hard_pruning,
    leverage_sampling,
    stages_of,
    stale,
    subsample,
    teacher,
)

__all__ = ["CurationCost", "curation_cost", "scoring_charges", "step_charge", "training_charges"]

FORWARD = 1 / 3  # of the compute of a training step on the same examples: two more thirds go backwards
_SCORED_ONCE = (hard_pruning, curriculum, leverage_sampling)


@dataclass(frozen=True)
class CurationCost:
    """Costs of one schedule; pass both to `speedup` for a net speed-up.

    Arguments:
        per_refresh: time units paid at each refresh, shape (times,); the last serves no interval and is 0.
        fixed: time units paid before training, for a teacher or another second model.
    """

    per_refresh: Float[np.ndarray, "times"]
    fixed: float


def curation_cost(
    problem: AbstractProblem,
    schedule: AbstractStage,
    times: ArrayLike,
    *,
    dynamics: AbstractDynamics | None = None,
    cost_per_example: float | None = None,
    cost_per_refresh: float = 0.0,
    batch_size: int = 64,
) -> CurationCost:
    """What a schedule costs beside training itself.

    Charged are the passes over the data that score it (see `scoring_charges`), the training of second models, and a
    forward pass for each label that the learner generates itself.

    Arguments:
        problem: what is to be learnt. Modes do not say how many examples there are: on them passes cost what
            `cost_per_refresh` says, by default nothing.
        schedule: the schedule.
        times: refresh grid, shape (times,).
        dynamics: of the run, if not the default.
        cost_per_example: time units that scoring one example takes; on data that of a forward pass if None.
        cost_per_refresh: time units of anything else that a refresh with a full pass takes.
        batch_size: examples per training step, which says how much of a time unit a forward pass takes.

    Returns:
        Costs at each refresh and before training.
    """
    check_non_negative("cost_per_refresh", cost_per_refresh, "give the cost in units of time")
    check_positive("batch_size", batch_size, "give the number of examples per training step")
    grid = np.asarray(times, np.float64)
    price = cost_per_refresh
    if isinstance(problem, OperatorProblem):
        number = problem.features.shape[0]
        if cost_per_example is None:
            norms = np.sum(np.asarray(problem.features, np.float64) ** 2, axis=1)
            cost_per_example = step_charge(1, float(np.asarray(problem.example_mass) @ norms), batch_size)
        price += number * cost_per_example
    elif cost_per_example is not None:
        raise ValueError("cost_per_example is given, but modes have no examples: use cost_per_refresh.")
    check_non_negative("cost_per_example", cost_per_example or 0.0, "give the cost in units of time")
    fixed, running = training_charges(schedule, grid, dynamics)
    return CurationCost(price * scoring_charges(schedule, grid) + running, fixed)


def step_charge(num_examples: int, trace: float, batch_size: int) -> float:
    """Time units that scoring every example once takes.

    A forward pass is a third of the compute of a training step, for each example. A step on `batch_size` examples at
    learning rate 1 / trace advances time by 1 / trace.
    """
    return FORWARD * num_examples / (batch_size * trace)


def scoring_charges(schedule: AbstractStage, times: np.ndarray) -> Float[np.ndarray, "times"]:
    """How many times all data is scored at each refresh; the last entry serves no interval and is 0.

    A schedule that looks at the residual scores at every refresh, or once per period behind `stale`, or a part behind
    `subsample`. Pruning, curricula and leverage score once, at the start; so does a second model that has been trained
    beforehand. One that trains alongside scores whenever the learner does.
    """
    charges = np.zeros(len(times))
    stages = stages_of(schedule)
    if not schedule.closed_loop:
        charges[0] = float(any(isinstance(stage, _SCORED_ONCE) for stage in stages))
        return charges
    charges[:-1] = 1
    for stage in stages:
        if isinstance(stage, stale):
            charges[:-1] *= _due(np.asarray(times)[:-1], float(np.asarray(stage.period)))
    for stage in stages:
        if isinstance(stage, subsample):
            charges *= float(np.asarray(stage.fraction))
    own = charges.copy()
    for stage in stages:
        if isinstance(stage, teacher | complement):
            charges += own if stage.training_time is None else np.eye(1, len(times))[0]
    return charges


def training_charges(
    schedule: AbstractStage, times: np.ndarray, dynamics: AbstractDynamics | None = None
) -> tuple[float, Float[np.ndarray, "times"]]:
    """Time units that second models train for before the start, and that they and own labels take at each refresh."""
    fixed, running = 0.0, np.zeros(len(times))
    durations = np.diff(times)
    for stage in stages_of(schedule):
        if isinstance(stage, teacher | complement):
            if stage.training_time is None:
                running[:-1] += stage.cost * durations
            else:
                fixed += stage.cost * _first(stage.training_time)
    if isinstance(dynamics, SelfGenerated):
        running[:-1] += FORWARD * _by_refresh(dynamics.fraction, len(times))[:-1] * durations
    return fixed, running


def _first(value: Any) -> float:
    return float(concrete(value).flat[0])


def _by_refresh(value: Any, number: int) -> np.ndarray:
    values = concrete(value)
    return np.full(number, float(values)) if values.ndim == 0 else values[:number]


def _due(times: np.ndarray, period: float) -> np.ndarray:
    """The refreshes at which `stale` scores anew."""
    due, last = np.zeros(len(times), bool), -np.inf
    for n, time in enumerate(times):
        if time - last >= period * (1 - 1e-12):
            due[n], last = True, time
    return due
