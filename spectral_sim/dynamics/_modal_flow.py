"""Gradient flow on modes: every mode decays by itself."""

from typing import Any, ClassVar

import jax.numpy as jnp

from .._observation import Observation
from .._types import Array, Float, PerWeight, PRNGKeyArray, PyTree
from ..numerics import exponential, log_or_minus_inf
from ..problems import ModalProblem
from ._base import AbstractDynamics, require


class ModalFlow(AbstractDynamics):
    """Gradient flow on modes, exact for held weights: du_k/dt = lam_k w_k and E_k = E_k(0) exp(-2 u_k).

    The state is the log decay -2 u, shape (modes,). Energies are kept as logarithms: in float32 they underflow within
    four decades of time.
    """

    jumps: ClassVar[bool] = True

    def init(self, problem: Any) -> PyTree:
        require(problem, ModalProblem, self)
        return jnp.zeros_like(problem.eigenvalues)

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        return state + (-2 * duration * problem.eigenvalues) * weights

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        energy = problem.energies * exponential(state)
        return Observation(
            time=time,
            energy=energy,
            log_energy=log_or_minus_inf(problem.energies) + state,
            # a product with what the members of a batch share, whatever else of the problem they do not
            loss=problem.floor + 0.5 * (problem.multiplicity @ energy),
            state=state,
        )
