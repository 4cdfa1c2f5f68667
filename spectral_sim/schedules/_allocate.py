"""Allocate stages: from what is seen of the residual to any non-negative score."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_finite, check_fraction, check_positive
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges, as_inexact
from .._where import where
from ..numerics import held_water_level, log_or_minus_inf, mean_one, power_score, relative_log, score_of, top_mass
from ..problems import ModalProblem
from ._base import SMALLEST, AbstractStage, Kind, require_modal


class Proportional(AbstractStage):
    """Sample in proportion to a power of the residual: the score is signal^power.

    Arguments:
        power: 1 samples in proportion to residual energy, 0 uniformly.
    """

    kind: ClassVar[Kind] = "allocate"
    power: Float[Array, ""] = eqx.field(converter=as_inexact, default=1.0)

    def __check_init__(self) -> None:
        check_finite("power", self.power, "give a finite power")

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        kept = signal is observation.energy  # nothing has changed it, and the learner keeps its logarithm
        return power_score(observation.log_energy if kept else log_or_minus_inf(signal), self.power), state


class Greedy(AbstractStage):
    """Everything on the largest residual: the limit of water-filling for vanishing intervals, bad when held."""

    kind: ClassVar[Kind] = "allocate"

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return where(signal == jnp.max(signal), 1.0, 0.0).astype(signal.dtype), state


class FrontierBand(AbstractStage):
    """Weight on what lies within `width` e-folds below the largest residual.

    On modes this is water-filling down to a fixed depth instead of a fixed budget: it does not need the length of the
    coming interval, and goes to `greedy` as the width goes to zero. Examples get the log excess itself.

    Arguments:
        width: depth in e-folds of residual energy, positive.
    """

    kind: ClassVar[Kind] = "allocate"
    ranges: ClassVar[Ranges] = {"width": (SMALLEST, None)}
    width: Float[Array, ""] = eqx.field(converter=as_inexact, default=1.0)

    def __check_init__(self) -> None:
        check_positive("width", self.width, "give a depth in e-folds")

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        excess = jnp.maximum(depth_of(signal, observation) + self.width, 0)
        modal = observation.problem.as_modal()
        if modal is not None:
            excess = per_eigenvalue(excess, modal)
        return excess, state


class WaterFilling(AbstractStage):
    """The ideal oracle: over the coming interval, drain the largest residuals to one common level.

    Optimal at every refresh at once, since allocations are nested in time; reads the coming interval's length. With
    observe stages before it, optimal for what it is shown. Modal problems only.

    Source:
        Boyd and Vandenberghe, Convex Optimization (2004), example 5.2.
    """

    kind: ClassVar[Kind] = "allocate"

    def init(self, problem: Any) -> PyTree:
        require_modal(self, problem, "proportional() or top_fraction()")
        return None

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        problem = observation.problem.as_modal()
        # the others, which a stage before may show again, would swallow the budget
        signal = signal if signal is observation.energy else where(problem.eigenvalues > 0, signal, 0)
        depth = depth_of(signal, observation)
        level = held_water_level(depth, problem.multiplicity, problem.trace * observation.duration)
        progress = jnp.maximum(depth - level, 0) / 2
        passes = observation.duration > 0  # no time passes where steps have a learning rate of zero
        share = where(passes, progress / where(passes, observation.duration, 1), problem.eigenvalues)
        return per_eigenvalue(share, problem), state


class TopFraction(AbstractStage):
    """Equal score on the part of the mass with the largest signal, none on the rest.

    Entries of equal signal at the border share what is left for them.

    Arguments:
        fraction: mass kept, in (0, 1].
    """

    kind: ClassVar[Kind] = "allocate"
    ranges: ClassVar[Ranges] = {"fraction": (SMALLEST, 1.0)}
    fraction: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_fraction("fraction", self.fraction)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return top_mass(signal, observation.mass, self.fraction), state


class Softmax(AbstractStage):
    """Score exp(signal / (temperature x mean signal)).

    Arguments:
        temperature: in units of the mean signal, so that it means the same at every stage of training; positive.
    """

    kind: ClassVar[Kind] = "allocate"
    ranges: ClassVar[Ranges] = {"temperature": (SMALLEST, None)}
    temperature: Float[Array, ""] = eqx.field(converter=as_inexact, default=1.0)

    def __check_init__(self) -> None:
        check_positive("temperature", self.temperature)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        logits = mean_one(signal, observation.mass) / self.temperature
        return score_of(logits), state


def depth_of(signal: PerWeight, observation: Observation) -> PerWeight:
    """As `relative_log`, by the logarithm that the learner keeps where no stage has changed what is seen."""
    if signal is not observation.energy:
        return relative_log(signal)
    top = jnp.max(observation.log_energy)
    return where(jnp.isneginf(top), 0, observation.log_energy - top)


def per_eigenvalue(progress: Float[Array, "modes"], problem: ModalProblem) -> Float[Array, "modes"]:
    """The weight that gives a rate of progress; modes of zero eigenvalue make none."""
    learnable = problem.eigenvalues > 0
    return where(learnable, progress / where(learnable, problem.eigenvalues, 1), 0)
