"""What the loop asks of a dynamics."""

import abc
from typing import Any, ClassVar

import equinox as eqx

from .._observation import Observation
from .._registry import family
from .._types import Array, Float, Int, PRNGKeyArray, PyTree


class Verdict(eqx.Module):
    """Whether an interval can be run.

    Arguments:
        code: a `Status` code, scalar.
        limit: what could have been run instead, scalar: the largest stable learning rate, for one; NaN if unknown.
    """

    code: Int[Array, ""]
    limit: Float[Array, ""]


class AbstractDynamics(eqx.Module):
    """Advances a learner exactly under weights that are held over an interval.

    Class attributes to override:
        adjoint: what reverse mode keeps by default; see `simulate`.
        needs_key: whether the dynamics draws random numbers.
        jumps: whether weights held over many intervals may be held in one `advance` from time 0, at no more cost.
    """

    adjoint: ClassVar[str] = "checkpointed"
    needs_key: ClassVar[bool] = False
    jumps: ClassVar[bool] = False

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

    def validate(self, problem: Any) -> None:
        """Raise for a problem that no run could use, before anything is compiled; values may be looked at."""
        return None

    def reference(self, problem: Any) -> "AbstractDynamics | None":
        """The dynamics of uniform training on real data, the yardstick of speed-ups; None for the problem's default."""
        return self

    def own_labels(self, durations: Float[Array, "intervals"]) -> Float[Array, "intervals"] | None:
        """What part of the samples of each interval the learner labels itself; None for real data throughout."""
        return None

    def check(
        self, problem: Any, state: PyTree, weights: Float[Array, "weights"], duration: Float[Array, ""]
    ) -> Verdict | None:
        """Whether `advance` can run the interval; None where it always can, and nothing is compiled for it."""
        return None


family("dynamics", AbstractDynamics)


def require(problem: Any, kind: type, dynamics: AbstractDynamics) -> None:
    """Raise unless `problem` is of the kind that `dynamics` advances."""
    if not isinstance(problem, kind):
        raise TypeError(
            f"{type(dynamics).__name__} advances a {kind.__name__}, not a {type(problem).__name__}: leave "
            "dynamics=None for the default of the problem."
        )
