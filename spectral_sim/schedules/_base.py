"""Stages: the small parts that schedules are chained from."""

import abc
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_choice
from .._observation import Observation
from .._registry import family, registered_name
from .._state import as_state, check_constants, next_state
from .._types import PerWeight, PyTree, Ranges, Refreshes
from ..problems import AbstractProblem, ModalProblem, OperatorProblem

if TYPE_CHECKING:
    from typing import ClassVar as AbstractClassVar

    from ._second_model import SecondModel
else:
    from equinox import AbstractClassVar

Kind = Literal["observe", "allocate", "constrain"]
KINDS: tuple[Kind, ...] = ("observe", "allocate", "constrain")  # in the order in which they stand in a chain


SMALLEST = 1e-6  # that a search makes of what must be positive


class TrainingCost(NamedTuple):
    """What a stage's own models cost to train, in units of the learner's training time.

    Arguments:
        before: paid once, before the run; scalar.
        rate: paid for each unit of time of the run; scalar.
    """

    before: Any = 0.0
    rate: Any = 0.0


class AbstractStage(eqx.Module):
    """One step from what is known of the learner to weights.

    The signal starts as the residual energy. Observe stages change what is seen of it, allocate stages turn it into
    any non-negative score, constrain stages take any score and return weights of mean one. It is non-negative between
    any two stages. Hyperparameters are inexact array leaves: a changed value never retraces, and each is trainable.

    `kind` and `__call__` are required; a class without one of them cannot be used. Everything else is optional.

    Class attributes:
        kind: required; where in a chain the stage may stand: "observe", "allocate" or "constrain".
        closed_loop: whether the output depends on the learner (or on noise), not on the problem and the time alone.
        static: whether the output is the same at every refresh, whatever the signal.
        memoryless: whether the output depends on the signal alone (constrain stages that keep a chain static).
        needs_key: whether the stage draws random numbers.
        reads_signal: whether the output depends on the signal; an observe stage that looks at the learner instead
            stands first in a chain.
        looks_past: whether it looks at the learner besides the signal that the stages before it hand on. Then every
            refresh at which it is asked costs a pass over the data, even where those stages answer from memory.
        curates: whether the weights are ever other than 1.
        constants: what of the state never changes: a prefix of it with True for constants, such as True for all of it,
            or (True, False) for the first of two. They must be handed back as they are.
        ranges: by field (low, high), each a number or None: what a search holds it to, both ends included, where it is
            given no limits; values with which the stage can be built, and so saved and loaded.
    """

    kind: AbstractClassVar[Kind]
    closed_loop: ClassVar[bool] = True
    static: ClassVar[bool] = False
    memoryless: ClassVar[bool] = False
    needs_key: ClassVar[bool] = False
    reads_signal: ClassVar[bool] = True
    looks_past: ClassVar[bool] = False
    curates: ClassVar[bool] = True
    constants: ClassVar[PyTree] = False
    ranges: ClassVar[Ranges] = {}

    def init(self, problem: Any) -> PyTree:
        """State before the first refresh, a pytree of numbers and arrays; None, for a stage without one, by default.

        Unsuited problems are refused here. Structure, shapes and dtypes stay; inexact leaves take the problem's dtype.

        Arguments:
            problem: what is to be learnt.
        """
        return None

    def validate(self, problem: Any) -> None:
        """Raise or warn of what a run would not show, before anything is compiled; values may be looked at.

        Arguments:
            problem: what is to be learnt.
        """
        return None

    @abc.abstractmethod
    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        """The signal that leaves this stage, and its new state.

        Arguments:
            signal: what the stage before hands on, non-negative; at first the residual energy.
            observation: of the learner at this refresh.
            state: of this stage, as `init` or the call before returned it.

        Returns:
            The signal that leaves this stage, shape (weights,), and its new state, shaped as the old.
        """

    def scoring(self, times: Refreshes) -> Refreshes | None:
        """Which share of the data is scored for this stage at each refresh: 1 for a whole pass, 0 for none.

        By default a pass at every refresh, and one at the first alone for static weights. That holds for an open loop
        too: a stage that looks at no data returns `no_scoring(times)`, one that looks once `scored_once(times)`. None
        means that the stage scores nothing by itself, and that what it hands on costs what the stages after it ask
        for; that is the default of constrain stages.

        Arguments:
            times: the refreshes that begin an interval, in the precision of the run.
        """
        if self.kind == "constrain":
            return None
        return scored_once(times) if self.static else jnp.ones_like(times)

    def model_scoring(self, times: Refreshes, asked: Refreshes) -> Refreshes:
        """How many times models of this stage's own score the data at each refresh; none by default.

        Arguments:
            times: as for `scoring`.
            asked: which share of the output of this stage the next stage reads at each refresh.
        """
        return no_scoring(times)

    def training_cost(self, problem: Any) -> TrainingCost:
        """What models of this stage's own cost to train; nothing by default.

        Arguments:
            problem: what is learnt.
        """
        return TrainingCost()

    def second_model(self, problem: Any) -> "SecondModel | None":
        """The model that this stage sees the residual through; None for none.

        Arguments:
            problem: what is learnt.
        """
        return None

    def weight_bounds(self, *, fixed: bool = False) -> tuple[float, float] | None:
        """Bounds (low, high) that the weights have by construction; None for none.

        Arguments:
            fixed: only those that a search leaves alone; bounds that are hyperparameters are not.
        """
        return None

    @property
    def num_columns(self) -> int | None:
        """Number of columns of a table over weights that this stage holds; None if it runs on any number of them."""
        return None


family("stage", AbstractStage)


def no_scoring(times: Refreshes) -> Refreshes:
    """No pass over the data at any refresh.

    Arguments:
        times: the refreshes that begin an interval, shape (refreshes,).

    Returns:
        Zeros of the same shape, for `AbstractStage.scoring`.
    """
    return jnp.zeros_like(times)


def scored_once(times: Refreshes) -> Refreshes:
    """One pass over the data, at the first refresh.

    Arguments:
        times: the refreshes that begin an interval, shape (refreshes,).

    Returns:
        One and then zeros, of the same shape, for `AbstractStage.scoring`.
    """
    return jnp.zeros_like(times).at[0].set(1)


def stage_name(stage: Any) -> str:
    """The name of a stage in files, paths and messages: that of its registration, or else of its class.

    Arguments:
        stage: a stage, or a chain of them.
    """
    return registered_name(type(stage)) or type(stage).__name__


def begin_state(stage: AbstractStage, problem: AbstractProblem) -> PyTree:
    """Make the state before the first refresh, as arrays; raises ValueError for a stage of a kind that there is not.

    Arguments:
        stage: whose state it is.
        problem: what is to be learnt.
    """
    check_choice(f"{stage_name(stage)}.kind", stage.kind, KINDS)
    return as_state(stage_name(stage), stage.init(problem), problem.dtype)


def answer_of(stage: AbstractStage, signal: Any, observation: Observation, state: PyTree) -> tuple[Any, PyTree]:
    """Call a stage and return its signal and its state; raises TypeError for anything but the two.

    Arguments:
        stage: to be called.
        signal: what it is shown, shape (weights,).
        observation: of the learner.
        state: of the stage.
    """
    answer = stage(signal, observation, state)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise TypeError(
            f"{stage_name(stage)}.__call__ returned a {type(answer).__name__}, not a pair: return (signal, state), and "
            "hand the state back as it is where the stage remembers nothing."
        )
    return answer


def advance_state(stage: AbstractStage, before: PyTree, after: PyTree, dtype: Any) -> PyTree:
    """Make arrays of the state that a call returned; raises where it is not like the one before, see `AbstractStage`.

    Arguments:
        stage: whose state it is.
        before: the state that the call was given.
        after: the state that it returned.
        dtype: of the run.
    """
    name = stage_name(stage)
    state = next_state(name, before, after, dtype)
    check_constants(name, stage.constants, before, state)
    return state


def require_modal(stage: Any, problem: AbstractProblem, instead: str) -> ModalProblem:
    """The spectrum of a problem; refuses one whose weights are on examples, where `stage` asks for weights per mode."""
    modal = problem.as_modal()
    if modal is None:
        raise ValueError(
            f"{stage_name(stage)} asks for per-mode weights, but this {type(problem).__name__} is reweighted by "
            f"example: use {instead}, or problems.modal_view(problem) to study its spectrum."
        )
    return modal


def require_operator(stage: Any, problem: AbstractProblem, instead: str) -> OperatorProblem:
    """The examples of a problem; refuses one that has none."""
    data = problem.as_operator()
    if data is None:
        raise ValueError(
            f"{stage_name(stage)} scores examples by their features, but this {type(problem).__name__} has modes only: "
            f"use {instead}."
        )
    return data
