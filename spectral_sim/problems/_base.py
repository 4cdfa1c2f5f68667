"""What the library asks of a problem."""

import abc
import dataclasses
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp

from .._types import Array, ArrayLike, Float, PerWeight

if TYPE_CHECKING:
    from ..dynamics import AbstractDynamics
    from ._modal import ModalProblem
    from ._operator import OperatorProblem


class Bound(eqx.Module):
    """A curve that no schedule goes below.

    Arguments:
        loss: the least loss at each time, shape (times,).
        name: what proves it, as in "water-filling".
        valid_until: the time up to which it says more than `AbstractProblem.floor`; infinite if it always does.
        note: one sentence for readers.
    """

    loss: Float[Array, "times"]
    name: str = eqx.field(static=True)
    valid_until: float = float("inf")
    note: str = eqx.field(static=True, default="")


class optional:
    """A property with a default, which a subclass may also give as a field."""

    def __init__(self, default: Callable[[Any], Any]):
        self._default = default
        self.__doc__ = default.__doc__

    def __get__(self, problem: Any, owner: Any = None) -> Any:
        return self if problem is None else self._default(problem)


class AbstractProblem(eqx.Module):
    """Something to be learnt: a spectrum with energies, data with features and targets, or a class of your own.

    Required: `mass`, `dtype`, `initial_loss` and `training_loss`. Everything else is optional. Each default is right
    for a problem of which nothing more is known; a feature that needs more refuses the problem and names what is
    missing.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in inspect.get_annotations(cls):  # a field is not to take the default for its own
            if name not in cls.__dict__ and isinstance(getattr(cls, name, None), optional):
                setattr(cls, name, dataclasses.field())

    @property
    @abc.abstractmethod
    def mass(self) -> PerWeight:
        """Required. Probability mass over whatever is reweighted; a density ratio w satisfies sum(mass * w) == 1."""

    @property
    @abc.abstractmethod
    def dtype(self) -> Any:
        """Required. The inexact dtype of the computation; schedules and times are cast to it."""

    @abc.abstractmethod
    def initial_loss(self) -> Float[Array, ""]:
        """Required. Loss at time 0 under the uncurated distribution."""

    @abc.abstractmethod
    def training_loss(self, energy: PerWeight) -> Float[Array, ""]:
        """Required. Loss on the training set from residual energies: half their sum under the base measure.

        Arguments:
            energy: residual energy of each mode, example or group.
        """

    @optional
    def trace(self) -> Float[Array, ""]:
        """Optional. The sum of the eigenvalues that drive learning, per unit of time: a step at learning rate 1 / trace
        advances time by 1 / trace. 1 if the problem does not say."""
        return jnp.ones((), self.dtype)

    @optional
    def floor(self) -> Float[Array, ""]:
        """Optional. The part of the loss that no training removes; 0 if the problem does not say."""
        return jnp.zeros((), self.dtype)

    @optional
    def num_examples(self) -> int | None:
        """Optional. How many examples a pass over the data scores: one for each weight, if the problem does not say.
        None for a problem without examples, on which a pass costs what the user says."""
        return self.mass.shape[0]

    @optional
    def example_mass(self) -> Float[Array, "examples"]:
        """Optional. Base mass of single examples, where weights are on groups of them; otherwise `mass`."""
        return self.mass

    @optional
    def measure(self) -> str:
        """Optional. What the loss is called in reports, as in "held-out loss"."""
        return "loss"

    def per_example(self, weights: PerWeight) -> Float[Array, "examples"]:
        """Optional. Weights of single examples, where weights are on groups of them; otherwise the same weights.

        Arguments:
            weights: on whatever `mass` is over.
        """
        return weights

    def default_dynamics(self) -> "AbstractDynamics":
        """Optional. The dynamics that trains it where the user names none."""
        raise TypeError(
            f"{type(self).__name__} has no default dynamics: pass simulate(dynamics=...), or define default_dynamics()."
        )

    def lower_bound(self, times: ArrayLike) -> Bound | None:
        """Optional. What no schedule can beat at each time; None, if nothing is known, leaves the gap unstated.

        Arguments:
            times: intrinsic times, shape (times,).
        """
        return None

    def capped_bound(self, times: ArrayLike, cap: float) -> Bound | None:
        """Optional. What no schedule with weights up to `cap` can beat; `lower_bound` if nothing better is known.

        Arguments:
            times: intrinsic times, shape (times,).
            cap: the largest weight, at least 1.
        """
        return self.lower_bound(times)

    def difficulty(self) -> PerWeight | None:
        """Optional. A score for each weight, larger for what is learnt later; None if it is not known."""
        return None

    def refined(self) -> "AbstractProblem | None":
        """Optional. The same problem by a quadrature rule of twice the nodes; None where nothing was approximated."""
        return None

    def as_modal(self) -> "ModalProblem | None":
        """Optional. The spectrum whose modes the weights act on; None if they act on something else."""
        return None

    def as_operator(self) -> "OperatorProblem | None":
        """Optional. The data whose examples, or groups of them, the weights act on; None if there are no features."""
        return None

    def spectrum(self) -> "ModalProblem | None":
        """Optional. The modes of learning with uniform weights; None if they are not known."""
        return self.as_modal()

    def numbers(self) -> dict[str, Array]:
        """Optional. What a sweep may vary, by name: every field that is an array."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if eqx.is_array(value)}

    def check_number(self, name: str, values: ArrayLike) -> None:
        """Optional. Raise ValueError for values of one of `numbers` that make no problem; by default any do.

        Arguments:
            name: a key of `numbers`.
            values: what a sweep would give it, one entry for each row.
        """
        return None

    def with_numbers(self, values: dict[str, Any]) -> "AbstractProblem":
        """Optional. The same problem with other values of some of its `numbers`; has to work under a trace.

        Arguments:
            values: new arrays by name, each a key of `numbers`; other names keep theirs.
        """
        names = tuple(values)
        return eqx.tree_at(lambda problem: [getattr(problem, name) for name in names], self, list(values.values()))
