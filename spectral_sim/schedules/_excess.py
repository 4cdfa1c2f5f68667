"""Excess loss over a reference: what can still be learnt, and not what no model gets right."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_non_negative
from .._observation import Observation
from .._types import PerWeight, PyTree, Ranges, Refreshes, as_inexact
from .._where import where
from ._base import AbstractStage, Kind, TrainingCost, scored_once
from ._score import check_given


class Excess(AbstractStage):
    """Residual energy in excess of that of a reference model, max(0, E_learner - E_reference); the reducible loss.

    The reference is a model that has been trained on held-out data and stays as it is: what it gets wrong, such as a
    wrong label, is taken for what no training gets right. `fitting.reference_losses` computes it from a network. A
    second model that is simulated beside the learner is `complement`.

    Where nothing is in excess weights are uniform. With `top_fraction` after it, it picks the examples of the largest
    reducible loss.

    Arguments:
        reference: irreducible loss of each mode, example or group, shape (weights,): that of the reference model, in
            the unit of the learner's loss, which is half of the energy.
        reference_cost: what training the reference took, in units of the learner's training time. Its one pass over
            the data is charged in addition.

    Raises:
        ValueError: a negative loss; at the start of a run, another number of losses than the problem has weights.

    Source:
        Mindermann et al., Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet Learnt (2022).
    """

    kind: ClassVar[Kind] = "observe"
    ranges: ClassVar[Ranges] = {"reference": (0.0, None)}
    reference: PerWeight = eqx.field(converter=as_inexact)
    reference_cost: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        check_non_negative("reference", self.reference, "give the loss of the reference model on each example")
        check_non_negative("reference_cost", self.reference_cost, "give the training time of the reference")

    def init(self, problem: Any) -> PyTree:
        check_given(self, "reference", self.reference, problem)
        return None

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        excess = where(observation.mass > 0, jnp.maximum(signal - 2 * self.reference, 0), 0)
        return where(jnp.max(excess) > 0, excess, 1), state

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return None

    def model_scoring(self, times: Refreshes, asked: Refreshes) -> Refreshes:
        return scored_once(times)

    def training_cost(self, problem: Any) -> TrainingCost:
        return TrainingCost(before=self.reference_cost)
