"""The order that pruning and curricula go by: a score given by hand, or the difficulty that the problem states."""

from typing import Any

import numpy as np

from .._checks import check_entries, check_non_negative
from .._types import Array, PerWeight
from ..numerics import Rank, mass_rank
from ..problems import AbstractProblem
from ._base import stage_name
from ._difficulty import difficulty


def check_score(score: Any, cost: float) -> None:
    """Raise for a score that orders nothing, or a negative price; an infinite score is the hardest of all."""
    check_non_negative("score_cost", cost, "give what the score took to compute, in units of time")
    if score is not None:
        check_entries("score", score, lambda x: ~np.isnan(x), "give a number, or inf for the hardest of all")


def check_given(stage: Any, name: str, values: Array, problem: AbstractProblem) -> None:
    """Raise unless an array has one number for each weight of a problem."""
    if values.shape != problem.mass.shape:
        raise ValueError(
            f"{stage_name(stage)} has a {name} of shape {values.shape}, but the problem is reweighted by "
            f"{problem.mass.shape[0]} weights: give one number for each, and for groups the mean over each."
        )


def difficulty_rank(problem: AbstractProblem, *, hardest_first: bool) -> Rank:
    """The rank of each entry by difficulty."""
    return _rank(difficulty(problem), problem.mass, hardest_first)


def begin_order(stage: Any, problem: AbstractProblem, *, hardest_first: bool) -> Rank | None:
    """The rank by difficulty, which stays; None for a stage with a score, which may be another at each refresh."""
    if stage.score is None:
        return difficulty_rank(problem, hardest_first=hardest_first)
    check_given(stage, "score", stage.score, problem)
    return None


def order_now(stage: Any, state: Rank | None, mass: PerWeight, *, hardest_first: bool) -> Rank:
    """The rank of each entry at a refresh, from what `begin_order` returned."""
    return _rank(stage.score, mass, hardest_first) if state is None else state


def _rank(score: Array, mass: Array, hardest_first: bool) -> Rank:
    return mass_rank(-score if hardest_first else score, mass)
