"""Stages: the small parts that schedules are chained from."""

import abc
from typing import Any, ClassVar, Literal

import equinox as eqx

from .._observation import Observation
from .._types import Array, Float, PyTree
from ..problems import AbstractProblem, ModalProblem, OperatorProblem

Kind = Literal["observe", "allocate", "constrain"]


class AbstractStage(eqx.Module):
    """One step from what is known of the learner to weights.

    The signal starts as the residual energy. Observe stages change what is seen of it, allocate stages turn it into
    any non-negative score, constrain stages take any score and return weights of mean one. It is non-negative between
    any two stages. Hyperparameters are inexact array leaves: a changed value never retraces, and each is trainable.

    Class attributes to override:
        kind: where in a chain the stage may stand.
        closed_loop: whether the output depends on the learner (or on noise), not on the problem and the time alone.
        static: whether the output is the same at every refresh, whatever the signal.
        memoryless: whether the output depends on the signal alone (constrain stages that keep a chain static).
        needs_key: whether the stage draws random numbers.
        reads_signal: whether the output depends on the signal; an observe stage that looks at the learner instead
            stands first in a chain.
    """

    kind: ClassVar[Kind] = "allocate"
    closed_loop: ClassVar[bool] = True
    static: ClassVar[bool] = False
    memoryless: ClassVar[bool] = False
    needs_key: ClassVar[bool] = False
    reads_signal: ClassVar[bool] = True

    @abc.abstractmethod
    def init(self, problem: Any) -> PyTree:
        """State before the first refresh, a pytree of arrays (None for none). Unsuited problems are refused here."""

    def validate(self, problem: Any) -> None:
        """Raise or warn of what a run would not show, before anything is compiled; values may be looked at."""
        return None

    @abc.abstractmethod
    def __call__(
        self, signal: Float[Array, "weights"], observation: Observation, state: PyTree
    ) -> tuple[Float[Array, "weights"], PyTree]:
        """The signal that leaves this stage, and its new state."""


def stage_name(stage: Any) -> str:
    """The public name of a stage: that of its class, as the constructors are spelt."""
    name = type(stage).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def require_modal(stage: Any, problem: AbstractProblem, instead: str) -> None:
    """Refuse a data problem: its weights are on examples, and `stage` asks for weights per mode."""
    if not isinstance(problem, ModalProblem):
        raise ValueError(
            f"{stage_name(stage)} asks for per-mode weights, but this {type(problem).__name__} is reweighted by "
            f"example: use {instead}, or modal_view(problem) to study its spectrum."
        )


def require_operator(stage: Any, problem: AbstractProblem, instead: str) -> None:
    """Refuse a modal problem: it has no examples."""
    if not isinstance(problem, OperatorProblem):
        raise ValueError(
            f"{stage_name(stage)} scores examples by their features, but this {type(problem).__name__} has modes only: "
            f"use {instead}."
        )
