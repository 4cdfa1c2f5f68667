"""One line of a comparison: a named schedule, what scoring costs it, and how it is told apart from the others."""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np

from ..dynamics import AbstractDynamics
from ..problems import AbstractProblem
from ..schedules import AbstractStage, stage_at

__all__ = ["Entry", "Family", "family", "option", "stage_of"]

Family = Literal["uniform", "own labels", "static", "open loop", "closed loop"]


@dataclass(frozen=True)
class Entry:
    """A schedule to be assessed.

    Arguments:
        name: shown in tables, legends and files.
        schedule: the schedule.
        problem: what it runs on where that is not the problem of the comparison: the same data with weights per group.
        cost: time units that scoring all data once takes; that of the comparison if None.
        seed: seed of its random stages; that of the comparison if None.
        dynamics: how the learner moves, if not by the default of the problem.
        is_ceiling: whether it was found by looking at the loss that it is judged by: shown, and never recommended.
        variant: what tells it apart from other entries of the same name, such as how often it scores the data. One of
            them is kept, the one that is best after its cost.
        meaning: one sentence for readers on how it chooses weights.
        first_only: whether it was made for the rows of the first split, and is not run on others.
    """

    name: str
    schedule: AbstractStage
    problem: AbstractProblem | None = None
    cost: float | None = None
    seed: int | None = None
    dynamics: AbstractDynamics | None = None
    is_ceiling: bool = False
    variant: str = ""
    first_only: bool = False
    meaning: str = ""


def stage_of(schedule: AbstractStage, name: str) -> AbstractStage | None:
    """The only stage of that name in a schedule, if there is one."""
    try:
        return stage_at(schedule, name)
    except KeyError:
        return None


def option(stage: AbstractStage, name: str) -> float:
    """A scalar hyperparameter of a stage."""
    return float(np.asarray(getattr(stage, name)))


def family(schedule: AbstractStage, dynamics: AbstractDynamics | None = None) -> Family:
    """How a schedule comes by its weights; lines of a plot are styled by it.

    Uniform sampling is the reference under the default dynamics, and of its own family where part of the samples carry
    labels of the learner's own making.
    """
    if not schedule.curates and dynamics is not None and dynamics.own_labels(jnp.ones(1)) is not None:
        return "own labels"
    if not schedule.curates:
        return "uniform" if dynamics is None else "static"
    if schedule.closed_loop:
        return "closed loop"
    return "static" if schedule.static else "open loop"
