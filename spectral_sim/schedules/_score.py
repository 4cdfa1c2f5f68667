"""How hard modes or examples are, by a score given by hand or before any training: what pruning and curricula go by."""

import abc
from typing import Any, ClassVar

import numpy as np

from .._checks import check_entries, check_non_negative
from .._types import Array, PerWeight, PyTree, Refreshes
from ..numerics import Rank, mass_rank
from ..problems import AbstractProblem
from ._base import AbstractStage, Kind, TrainingCost, no_scoring, scored_once, stage_name


class AbstractScoredStage(AbstractStage):
    """A stage that goes by how hard each weight is: by a `score`, or by the difficulty that the problem states.

    The fields `score` and `score_cost` are those of its subclasses, in an order of their own.
    """

    kind: ClassVar[Kind] = "allocate"
    closed_loop: ClassVar[bool] = False
    constants: ClassVar[bool] = True

    @property
    @abc.abstractmethod
    def _hardest_first(self) -> bool: ...

    def __check_init__(self: Any) -> None:
        check_non_negative("score_cost", self.score_cost, "give what the score took to compute, in units of time")
        if self.score is not None:
            check_entries("score", self.score, lambda x: ~np.isnan(x), "give a number, or inf for the hardest of all")

    def init(self: Any, problem: Any) -> PyTree:
        """The rank by difficulty, which stays; None with a score, which may be another at each refresh."""
        if self.score is None:
            return self._ranked(difficulty(problem), problem.mass)
        check_given(self, "score", self.score, problem)
        return None

    def scoring(self: Any, times: Refreshes) -> Refreshes | None:
        return scored_once(times) if self.score is None else no_scoring(times)

    def training_cost(self: Any, problem: Any) -> TrainingCost:
        return TrainingCost(before=self.score_cost)

    def _order(self: Any, state: Rank | None, mass: PerWeight) -> Rank:
        """The rank of each entry at a refresh, from what `init` returned."""
        return self._ranked(self.score, mass) if state is None else state

    def _ranked(self, score: Any, mass: PerWeight) -> Rank:
        return mass_rank(-score if self._hardest_first else score, mass)


def check_given(stage: Any, name: str, values: Array, problem: AbstractProblem) -> None:
    """Raise unless an array has one number for each weight of a problem."""
    if values.shape != problem.mass.shape:
        raise ValueError(
            f"{stage_name(stage)} has a {name} of shape {values.shape}, but the problem is reweighted by "
            f"{problem.mass.shape[0]} weights: give one number for each, and for groups the mean over each."
        )


def difficulty(problem: AbstractProblem) -> PerWeight:
    """A score that is larger for what is learnt later.

    Modes: 1 / lam_k, infinite where a mode is never learnt. Examples: the squared residual, summed over outputs, of a
    ridge regression on the base mass whose penalty is the mean eigenvalue: what a briefly trained probe still gets
    wrong. Groups: its mean over the group. Other problems: what their `difficulty()` returns.

    Arguments:
        problem: with modes, examples or groups, or of a class that has a `difficulty()` of its own.

    Returns:
        One number for each weight, shape (weights,).

    Raises:
        ValueError: a problem that does not say.

    Source:
        For examples the error-norm score of Paul et al., Deep Learning on a Data Diet (2021), in closed form.
    """
    score = problem.difficulty()
    if score is None:
        raise ValueError(
            f"{type(problem).__name__} does not say what is difficult: give the stage a score=, one number for each "
            "weight, or define difficulty()."
        )
    return score


def leverage(problem: AbstractProblem) -> PerWeight:
    """Ridge leverage scores phi_i^T (M + r I)^-1 phi_i, r the mean eigenvalue of M; a mean over each group.

    Arguments:
        problem: with examples and features, or groups of them.

    Returns:
        One number for each weight, shape (weights,).

    Raises:
        ValueError: a problem without features.

    Source:
        Alaoui and Mahoney, Fast Randomized Kernel Ridge Regression with Statistical Guarantees (2015).
    """
    data = problem.as_operator()
    if data is None:
        raise ValueError(f"{type(problem).__name__} has no examples with features, which leverage scores are made of.")
    return data.leverage()
