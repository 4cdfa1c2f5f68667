"""What every problem offers: a measure under which weights have mean one, and the loss before training."""

import abc
from typing import Any

import equinox as eqx

from .._types import Array, Float


class AbstractProblem(eqx.Module):
    """Something to be learnt: a spectrum with energies, or data with features and targets."""

    @property
    @abc.abstractmethod
    def mass(self) -> Float[Array, "weights"]:
        """Probability mass over whatever is reweighted; a density ratio w satisfies sum(mass * w) == 1."""

    @property
    @abc.abstractmethod
    def dtype(self) -> Any:
        """The inexact dtype of the computation; schedules and times are cast to it."""

    @abc.abstractmethod
    def initial_loss(self) -> Float[Array, ""]:
        """Loss at time 0 under the uncurated distribution."""

    @abc.abstractmethod
    def training_loss(self, energy: Float[Array, "weights"]) -> Float[Array, ""]:
        """Loss on the training set from residual energies: half their sum under the base measure."""
