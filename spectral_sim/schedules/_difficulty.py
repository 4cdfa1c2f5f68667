"""How hard modes or examples are, before any training: the order that pruning and curricula go by."""

import jax.numpy as jnp

from .._types import Array, Float
from ..numerics import row_product, sum_rows
from ..problems import AbstractProblem, ModalProblem, OperatorProblem

__all__ = ["difficulty", "leverage"]


def difficulty(problem: AbstractProblem) -> Float[Array, "weights"]:
    """A score that is larger for what is learnt later.

    Modes: 1 / lam_k, infinite where a mode is never learnt. Examples: the squared residual, summed over outputs, of a
    ridge regression on the base mass whose penalty is the mean eigenvalue: what a briefly trained probe still gets
    wrong. Groups: its mean over the group.

    Source:
        For examples the error-norm score of Paul et al., Deep Learning on a Data Diet (2021), in closed form.
    """
    if isinstance(problem, ModalProblem):
        return 1 / problem.eigenvalues
    assert isinstance(problem, OperatorProblem)
    weighted = problem.example_mass[:, None] * problem.features
    covariance = sum_rows(row_product, problem.features, weighted)
    probe = jnp.linalg.solve(_ridged(covariance), sum_rows(row_product, weighted, problem.targets))
    return problem.per_weight(jnp.sum((problem.targets - problem.features @ probe) ** 2, axis=1))


def leverage(problem: OperatorProblem) -> Float[Array, "weights"]:
    """Ridge leverage scores phi_i^T (M + r I)^-1 phi_i, r the mean eigenvalue of M; a mean over each group.

    Source:
        Alaoui and Mahoney, Fast Randomized Kernel Ridge Regression with Statistical Guarantees (2015).
    """
    covariance = sum_rows(row_product, problem.features, problem.example_mass[:, None] * problem.features)
    solved = jnp.linalg.solve(_ridged(covariance), problem.features.T)
    return problem.per_weight(jnp.sum(problem.features.T * solved, axis=0))


def _ridged(covariance: Array) -> Array:
    size = covariance.shape[0]
    return covariance + jnp.trace(covariance) / size * jnp.eye(size, dtype=covariance.dtype)
