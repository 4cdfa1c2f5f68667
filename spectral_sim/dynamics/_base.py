"""What the loop asks of a dynamics."""

import abc
from typing import Any, ClassVar

import equinox as eqx

from .._observation import Observation
from .._types import Array, Float, PRNGKeyArray, PyTree


class AbstractDynamics(eqx.Module):
    """Advances a learner exactly under weights that are held over an interval.

    Class attributes to override:
        adjoint: what reverse mode keeps by default; see `simulate`.
    """

    adjoint: ClassVar[str] = "checkpointed"

    @abc.abstractmethod
    def init(self, problem: Any) -> PyTree:
        """State at time 0, a pytree of arrays; raises TypeError for a problem of another kind."""

    @abc.abstractmethod
    def advance(
        self,
        problem: Any,
        state: PyTree,
        weights: Float[Array, "weights"],
        duration: Float[Array, ""],
        key: PRNGKeyArray | None,
    ) -> PyTree:
        """State after `duration` under constant `weights` of mean one."""

    @abc.abstractmethod
    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        """Energies, loss and time of a state; the loop fills in the rest."""


def require(problem: Any, kind: type, dynamics: AbstractDynamics) -> None:
    """Raise unless `problem` is of the kind that `dynamics` advances."""
    if not isinstance(problem, kind):
        raise TypeError(
            f"{type(dynamics).__name__} advances a {kind.__name__}, not a {type(problem).__name__}: leave "
            "dynamics=None for the default of the problem."
        )
