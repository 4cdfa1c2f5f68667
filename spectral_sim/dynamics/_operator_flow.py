"""Gradient flow of least squares on reweighted examples."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_choice
from .._observation import Observation
from .._types import Array, Float
from ..numerics import log_or_minus_inf, phi1_eigh
from ..problems import OperatorProblem
from ._base import AbstractDynamics, require


class OperatorState(eqx.Module):
    """Parameters (features, outputs), and the residual Y - Phi theta on the training set (examples, outputs)."""

    parameters: Float[Array, "features outputs"]
    residual: Float[Array, "examples outputs"]


class OperatorFlow(AbstractDynamics):
    """theta(t + h) = theta(t) + h phi_1(-h M_w) Phi^T P W r, exact for held weights and any targets.

    Arguments:
        method: how phi_1(-h M_w) acts: "eigh", one eigendecomposition of M_w a refresh, O(examples x features^2 +
            features^3).

    Raises:
        ValueError: an unknown method.
    """

    adjoint: ClassVar[str] = "stored"  # an interval costs far more than its state weighs
    method: str = eqx.field(static=True, default="eigh")

    def __check_init__(self):
        check_choice("method", self.method, _PHI1)

    def init(self, problem):
        require(problem, OperatorProblem, self)
        return _state(problem, problem.initial_parameters)

    def advance(self, problem, state, weights, duration, key):
        weighted = (problem.example_mass * problem.per_example(weights))[:, None] * problem.features
        operator = problem.features.T @ weighted
        drive = weighted.T @ state.residual
        return _state(problem, state.parameters + _PHI1[self.method](operator, drive, duration))

    def observe(self, problem, state, time):
        energy = problem.per_weight(jnp.sum(state.residual**2, axis=1))
        loss = problem.training_loss(energy) if problem.eval_features is None else problem.loss(state.parameters)
        return Observation(time=time, energy=energy, log_energy=log_or_minus_inf(energy), loss=loss, state=state)


def _state(problem: OperatorProblem, parameters: Array) -> OperatorState:
    return OperatorState(parameters, problem.targets - problem.features @ parameters)


_PHI1 = {"eigh": phi1_eigh}
