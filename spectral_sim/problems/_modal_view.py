"""The spectrum of a data problem: the modal problem that uniform sampling of it is."""

import jax.numpy as jnp

from .._types import Array, Float
from .._where import where
from ._modal import ModalProblem
from ._operator import OperatorProblem


def modal_view(problem: OperatorProblem) -> tuple[ModalProblem, Float[Array, ""]]:
    """Diagonalise M = Phi^T P Phi and read off the target's energy in each mode.

    Uniform weights on `problem` have the training loss of uniform weights on the modal problem, plus the floor. For
    other weights the two differ: most weights on modes cannot be realised by weights on examples, and the other way
    round.

    Arguments:
        problem: a data problem; outputs are summed over.

    Returns:
        The modal problem of the training set, and the floor, the part of the training loss that no parameters remove.

    Source:
        arXiv 2512.02409 for the operator; the reduction is the eigendecomposition of the feature covariance.
    """
    mass = problem.example_mass[:, None]
    residual = problem.targets - problem.features @ problem.initial_parameters
    values, vectors = jnp.linalg.eigh(problem.features.T @ (mass * problem.features))
    values, vectors = values[::-1], vectors[:, ::-1]
    null = values <= values[0] * jnp.finfo(problem.dtype).eps * problem.features.shape[1]
    drive = jnp.sum((vectors.T @ (problem.features.T @ (mass * residual))) ** 2, axis=1)
    energies = where(null, 0.0, drive / where(null, 1.0, values))
    floor = 0.5 * (jnp.sum(mass * residual**2) - jnp.sum(energies))
    return ModalProblem(where(null, 0.0, values), energies), jnp.maximum(floor, 0.0)
