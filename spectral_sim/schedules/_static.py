"""Static curation: the same weights at every refresh."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_choice, check_finite, check_fraction, check_positive
from .._observation import Observation
from .._types import Array, Float, Int, PerWeight, PyTree, Ranges, Refreshes, as_inexact
from .._where import where
from ..numerics import lowest_mass, mass_rank, score_of
from ._base import SMALLEST, AbstractStage, Kind, no_scoring, require_modal, require_operator, scored_once
from ._score import AbstractScoredStage, leverage


class _Static(AbstractStage):
    """The same weights at every refresh, whatever the learner; no look at the data unless a stage says otherwise."""

    kind: ClassVar[Kind] = "allocate"
    closed_loop: ClassVar[bool] = False
    static: ClassVar[bool] = True

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return no_scoring(times)


class Uniform(_Static):
    """No curation: w = 1."""

    curates: ClassVar[bool] = False

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return jnp.ones_like(signal), state


class StaticWeights(_Static):
    """Weights given by hand, scaled to mean one.

    Arguments:
        values: shape (weights,): one for each mode, example or group of the problem; non-negative.

    Raises:
        ValueError: at the start of a run, if the problem has another number of weights.
    """

    ranges: ClassVar[Ranges] = {"values": (0.0, None)}
    values: PerWeight = eqx.field(converter=as_inexact)

    def init(self, problem: Any) -> PyTree:
        if self.values.shape != problem.mass.shape:
            raise ValueError(
                f"static_weights has values of shape {self.values.shape}, but the problem is reweighted by "
                f"{problem.mass.shape[0]} weights: give one for each."
            )
        return None

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return self.values, state


class PowerTilt(_Static):
    """Weights lam_k^-exponent: towards the tail for a positive exponent. Modal problems only.

    Arguments:
        exponent: s, scalar.
        cutoff: mode number from which on the weight stays what it is there; none if None. Bounds the largest weight.
    """

    ranges: ClassVar[Ranges] = {"cutoff": (SMALLEST, None)}
    exponent: Float[Array, ""] = eqx.field(converter=as_inexact)
    cutoff: Float[Array, ""] | None = eqx.field(converter=as_inexact, default=None)

    def __check_init__(self) -> None:
        check_finite("exponent", self.exponent, "give a finite tilt")
        if self.cutoff is not None:
            check_positive("cutoff", self.cutoff, "give a mode number")

    def init(self, problem: Any) -> PyTree:
        require_modal(self, problem, "leverage_sampling()")
        return None

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        problem = observation.problem.as_modal()
        learnable = problem.eigenvalues > 0  # the others get the weight of the last that is: they carry no mass
        smallest = jnp.min(where(learnable, problem.eigenvalues, jnp.inf))
        log_eigenvalue = jnp.log(where(learnable, problem.eigenvalues, smallest))
        if self.cutoff is not None:
            log_eigenvalue = jnp.interp(jnp.minimum(problem.index, self.cutoff), problem.index, log_eigenvalue)
        score = -self.exponent * log_eigenvalue
        return score_of(score), state


def _as_seed(value):
    """A strongly typed integer: one trace for Python numbers and arrays."""
    return jnp.asarray(value, jnp.asarray(value).dtype)


class RandomPruning(_Static):
    """A random part of the mass is kept, at equal weight.

    Arguments:
        fraction: mass kept, in (0, 1].
        seed: whole number that fixes the draw.
    """

    ranges: ClassVar[Ranges] = {"fraction": (SMALLEST, 1.0)}
    constants: ClassVar[bool] = True
    fraction: Float[Array, ""] = eqx.field(converter=as_inexact)
    seed: Int[Array, ""] = eqx.field(converter=_as_seed, default=0)

    def __check_init__(self) -> None:
        check_fraction("fraction", self.fraction)

    def init(self, problem: Any) -> PyTree:
        drawn = jax.random.uniform(jax.random.key(self.seed), problem.mass.shape, problem.dtype)
        return mass_rank(drawn, problem.mass)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return lowest_mass(state, self.fraction), state


class HardPruning(AbstractScoredStage):
    """The easiest or the hardest part of the mass is kept, at equal weight; the rest is never sampled.

    Where entries at the border are equally hard they share what is left for them.

    Arguments:
        fraction: mass kept, in (0, 1].
        keep: "easy" or "hard".
        score: how hard each mode, example or group is, shape (weights,), such as those that
            `fitting.error_norm_scores` computes from a network; `difficulty` of the problem if None.
        score_cost: what computing the score took, with any training, in units of the learner's training time.

    Raises:
        ValueError: a score of NaN; at the start of a run, one of another length, or a problem that does not say what is
            difficult, where no score is given.
    """

    ranges: ClassVar[Ranges] = {"fraction": (SMALLEST, 1.0)}
    static: ClassVar[bool] = True
    fraction: Float[Array, ""] = eqx.field(converter=as_inexact)
    keep: str = eqx.field(static=True, default="hard")
    score: PerWeight | None = eqx.field(converter=as_inexact, default=None)
    score_cost: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        check_fraction("fraction", self.fraction)
        check_choice("keep", self.keep, ("easy", "hard"))

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return lowest_mass(self._order(state, observation.mass), self.fraction), state

    @property
    def _hardest_first(self) -> bool:
        return self.keep == "hard"


class LeverageSampling(_Static):
    """Examples in proportion to their ridge leverage. Data problems only."""

    constants: ClassVar[bool] = True

    def init(self, problem: Any) -> PyTree:
        require_operator(self, problem, "power_tilt()")
        return leverage(problem)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return state, state

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return scored_once(times)
