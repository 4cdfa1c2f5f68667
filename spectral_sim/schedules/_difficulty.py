"""How hard modes or examples are, before any training: the order that pruning and curricula go by."""

from .._types import PerWeight
from ..problems import AbstractProblem


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
