"""What the loop asks of a dynamics."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._observation import Observation
from .._registry import family
from .._status import FIRST_FAULT, Status
from .._types import Array, Bool, Float, Int, PerWeight, PRNGKeyArray, PyTree, Ranges
from .._where import where
from ..numerics import log_or_minus_inf, without_derivative


class AbstractDynamics(eqx.Module):
    """Advances a learner exactly under weights that are held over an interval.

    Class attributes to override:
        adjoint: what reverse mode keeps by default; see `simulate`.
        needs_key: whether the dynamics draws random numbers.
        jumps: whether weights held over many intervals may be held in one `advance` from the start, at no more cost.
        clock: "time", or "steps" for dynamics that take steps: their refresh grid counts them.
        faults: what may be wrong during a run, one string for each entry that `check` returns, and then those of
            `verify`: a few words, a colon and a sentence, in which "{limit}" stands for the number that goes with it.
        ranges: by field (low, high), each a number or None, between which a search keeps it.
    """

    adjoint: ClassVar[str] = "checkpointed"
    needs_key: ClassVar[bool] = False
    jumps: ClassVar[bool] = False
    clock: ClassVar[str] = "time"
    faults: ClassVar[tuple[str, ...]] = ()
    ranges: ClassVar[Ranges] = {}

    @abc.abstractmethod
    def init(self, problem: Any) -> PyTree:
        """State at time 0, a pytree of arrays; raises TypeError for a problem of another kind.

        Arguments:
            problem: what is to be learnt.
        """

    @abc.abstractmethod
    def advance(
        self,
        problem: Any,
        state: PyTree,
        weights: PerWeight,
        duration: Array,
        key: PRNGKeyArray | None,
    ) -> PyTree:
        """State after `duration` under constant `weights` of mean one.

        The duration is a time where `clock` is "time", a whole number of steps (an integer array) where it is "steps".

        Arguments:
            problem: what is learnt.
            state: at the start of the interval, as `init` or `advance` made it.
            weights: density ratios, non-negative, with mean one under `problem.mass`.
            duration: of the interval, scalar, not negative.
            key: PRNG key of the interval; None where `needs_key` is false.
        """

    @abc.abstractmethod
    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        """Required. What there is to see of a state.

        Arguments:
            problem: what is learnt.
            state: as `init` or `advance` made it.
            time: intrinsic time since the start, scalar.

        Returns:
            An `Observation` with `time`, `energy`, `log_energy`, `loss` and `state`, the state being the one that came
            in, unchanged. The loop fills in the other fields.
        """

    def validate(self, problem: Any) -> None:
        """Raise for a problem that no run could use, before anything is compiled; values may be looked at.

        Arguments:
            problem: what is to be learnt.
        """
        return None

    def own_labels(self, durations: Float[Array, "intervals"]) -> Float[Array, "intervals"] | None:
        """What part of the samples of each interval the learner labels itself; None for real data throughout.

        Arguments:
            durations: of the intervals, as `advance` is given them.
        """
        return None

    def check(self, problem: Any, state: PyTree, weights: PerWeight, duration: Array) -> Sequence[tuple[Array, Any]]:
        """Whether `advance` can run the interval.

        Arguments:
            problem: what is learnt.
            state: at the start of the interval.
            weights: of the interval, with mean one.
            duration: of the interval, scalar.

        Returns:
            For each of `faults`, in their order, whether it is at hand (a boolean scalar), and the number that its
            message shows (a scalar, or None). The first at hand is reported. Empty where nothing can go wrong.
        """
        return ()

    def verify(self, problem: Any, before: PyTree, after: PyTree, weights: PerWeight) -> Sequence[tuple[Array, Any]]:
        """Whether what `advance` made of a state can be true; pairs as those of `check`, for the faults after its.

        Arguments:
            problem: what is learnt.
            before: the state that `advance` was given.
            after: the state that it returned.
            weights: of the interval, with mean one.
        """
        return ()

    def on_steps(self, steps: Any) -> tuple["AbstractDynamics", Float[Array, "intervals"]]:
        """The dynamics as they run on a grid of steps, asked once before a run where `clock` is "steps".

        Arguments:
            steps: number of steps at each refresh, whole numbers of shape (times,); a NumPy array unless it is traced.

        Returns:
            The dynamics, hyperparameters that follow the step being given for each interval by a `PerRefresh` table;
            and the intrinsic time of each interval, shape (intervals,): one unit a step unless overridden.
        """
        return self, jnp.diff(jnp.asarray(steps)).astype(jnp.result_type(float))

    def under(self, problem: Any, weights: PerWeight, durations: Array) -> "AbstractDynamics":
        """The dynamics of a run whose weights never change: a place to work out once what they decide.

        Arguments:
            problem: what is learnt.
            weights: those of every interval.
            durations: of the intervals, as `advance` is given them, shape (intervals,).

        Returns:
            A dynamics with the same states, faults and results.
        """
        return self

    def largest_rate(self, problem: Any, weights: PerWeight | None = None) -> Array | None:
        """The learning rate above which a run is not stable, for dynamics that have one.

        Arguments:
            problem: what is learned.
            weights: weights of mean one that are in force; the rate is stable under any if None.

        Returns:
            A scalar, or one rate for each refresh where it depends on a table; None where it is not known.
        """
        return None

    def reference(self, problem: Any) -> "AbstractDynamics":
        """The dynamics of the same learner on real data alone: under uniform weights the yardstick of speed-ups.

        Arguments:
            problem: what is learnt.
        """
        return self


def shown(time: Array, energy: PerWeight, loss: Array, state: PyTree) -> Observation:
    """What there is to see of a state, with the logarithms of its energies."""
    return Observation(time=time, energy=energy, log_energy=log_or_minus_inf(energy), loss=loss, state=state)


class Verdict(eqx.Module):
    """Whether an interval can be run.

    Arguments:
        code: a status code, scalar.
        limit: the number that its message shows, scalar; NaN if there is none.
    """

    code: Int[Array, ""]
    limit: Float[Array, ""]


def first_fault(dynamics: AbstractDynamics, found: Sequence[tuple[Bool[Array, ""], Any]], dtype: Any) -> Verdict | None:
    """Find the first fault among those that `check` and `verify` have looked for; None where they look for none.

    Arguments:
        dynamics: names its faults.
        found: for each fault whether it is there, and a limit or None.
        dtype: of the limit.
    """
    if len(found) != len(dynamics.faults):
        raise ValueError(
            f"{type(dynamics).__name__}.check and verify return {len(found)} entries, but the class names "
            f"{len(dynamics.faults)} faults: return one pair (at hand, limit) for each of them."
        )
    if not found:
        return None
    code, limit = jnp.asarray(Status.OK, jnp.int32), jnp.asarray(jnp.nan, dtype)
    for number, (at_hand, bound) in reversed(list(enumerate(found))):
        code = where(at_hand, FIRST_FAULT + number, code)
        limit = where(at_hand, jnp.nan if bound is None else jnp.asarray(bound, dtype), limit)
    return Verdict(code, without_derivative(limit))


family("dynamics", AbstractDynamics)


def require(problem: Any, kind: type, dynamics: AbstractDynamics) -> None:
    """Raise unless `problem` is of the kind that `dynamics` advances."""
    if not isinstance(problem, kind):
        raise TypeError(
            f"{type(dynamics).__name__} advances a {kind.__name__}, not a {type(problem).__name__}: leave "
            "dynamics=None for the default of the problem."
        )
