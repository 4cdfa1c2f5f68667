"""How far models that are trained beforehand can see."""

from dataclasses import dataclass

import numpy as np

from ..analysis import teacher_frontier
from ..problems import AbstractProblem
from ..schedules import AbstractStage, stages_of

__all__ = ["Taught", "taught_by"]


@dataclass(frozen=True)
class Taught:
    """What a schedule's second model had learnt when the run began.

    Arguments:
        model: "teacher" or "second model".
        training_time: that it had trained for.
        cost: time units that its training is charged with.
        frontier: number of leading modes that it knows; on data the share of the examples (or groups) that it does.
        gain_until: time near which its gain is expected to stop, frontier / trace; None on data, and for a model that
            knows no leading modes but perhaps others.
        known: what the frontier counts: "modes", "examples" or "groups".
    """

    model: str
    training_time: float
    cost: float
    frontier: float
    gain_until: float | None
    known: str


def taught_by(problem: AbstractProblem, schedule: AbstractStage) -> Taught | None:
    """What the first model of a schedule that is trained beforehand knows; None if there is no such model.

    Arguments:
        problem: what is to be learnt.
        schedule: the schedule. A teacher with a table of thresholds or training times has no frontier: None.
    """
    for stage in stages_of(schedule):
        model = stage.second_model(problem)
        if model is None or model.varies or model.training_time is None:
            continue
        frontier, data = teacher_frontier(problem, schedule), problem.as_operator()
        until, known = None, "examples"
        if problem.as_modal() is not None:
            until, known = frontier / float(problem.trace) if frontier else None, "modes"
        elif data is not None and data.groups is not None:
            known = "groups"
        cost = float(stage.training_cost(problem).before)
        return Taught(model.name, float(np.asarray(model.training_time)), cost, frontier, until, known)
    return None
