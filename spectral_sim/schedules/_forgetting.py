"""How often the learner has forgotten an example that it had got right."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_fraction
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges, as_inexact
from .._where import where
from ._base import SMALLEST, AbstractStage, Kind, stage_name


class Forgetting(AbstractStage):
    """The number of times that each example has gone from right to wrong, counted from refresh to refresh.

    An example that has never been right counts as one that is forgotten at every refresh, which ranks it above all
    others. An event between two refreshes is not seen, so that counts depend on how dense they are. It looks at the
    learner itself, and stands first in a chain. On groups the shares that are right are compared, so that a count is
    the share of a group that has been lost.

    Arguments:
        threshold: where the dynamics does not say what is right (`Observation.correct`), an example is right while its
            residual energy is below this part of what it was at the start, in (0, 1].

    Raises:
        ValueError: a threshold out of range; at the start of a run, a problem with modes, which are never forgotten.

    Source:
        Toneva et al., An Empirical Study of Example Forgetting during Deep Neural Network Learning (2019).
    """

    kind: ClassVar[Kind] = "observe"
    reads_signal: ClassVar[bool] = False
    ranges: ClassVar[Ranges] = {"threshold": (SMALLEST, 1.0)}
    threshold: Float[Array, ""] = eqx.field(converter=as_inexact, default=0.5)

    def __check_init__(self) -> None:
        check_fraction("threshold", self.threshold)

    def init(self, problem: Any) -> PyTree:
        if problem.as_modal() is not None:
            raise ValueError(
                f"{stage_name(self)} scores examples by their falling back, but this {type(problem).__name__} has "
                "modes only, whose residual never grows: use self_scoring()."
            )
        nothing = jnp.zeros_like(problem.mass)
        return nothing, nothing, nothing

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        before, best, count = state
        now = observation.correct
        if now is None:
            now = where(observation.energy < self.threshold * observation.initial_energy, 1, 0)
        now = now.astype(before.dtype)
        count = count + jnp.maximum(before - now, 0)
        best = jnp.maximum(best, now)
        seen = where(best > 0, count, jnp.asarray(observation.index, count.dtype) + 1)
        return seen, (now, best, count)
