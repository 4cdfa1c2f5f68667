"""Curricula: a pool that grows from the easiest or the hardest to everything."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_choice, check_fraction, check_positive
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges, as_inexact
from ..numerics import lowest_mass
from ._base import SMALLEST
from ._score import AbstractScoredStage


class Curriculum(AbstractScoredStage):
    """Equal weights on a pool that grows from the easiest (or the hardest) to everything.

    The pool is updated at refreshes and held between them, as any curation is.

    Arguments:
        end: time at which the pool holds everything.
        start: fraction of the mass in the pool at time 0, in (0, 1].
        order: "easy_to_hard", or "hard_to_easy" (the anti-curriculum).
        pacing: "linear", "root" (the square of the fraction grows linearly) or "step".
        steps: number of equal increases for "step".
        score: how hard each mode, example or group is, shape (weights,), such as those that
            `fitting.error_norm_scores` computes from a network; `difficulty` of the problem if None.
        score_cost: what computing the score took, with any training, in units of the learner's training time.

    Raises:
        ValueError: numbers out of range; at the start of a run, a score of another length, or a problem that does not
            say what is difficult, where no score is given.

    Source:
        Bengio et al., Curriculum Learning (2009); root pacing from Platanios et al. (2019); anti-curricula from Wu,
        Dyer and Neyshabur, When Do Curricula Work? (2021).
    """

    ranges: ClassVar[Ranges] = {"end": (SMALLEST, None), "start": (SMALLEST, 1.0)}
    end: Float[Array, ""] = eqx.field(converter=as_inexact)
    start: Float[Array, ""] = eqx.field(converter=as_inexact, default=0.1)
    order: str = eqx.field(static=True, default="easy_to_hard")
    pacing: str = eqx.field(static=True, default="linear")
    steps: int = eqx.field(static=True, default=4)
    score: PerWeight | None = eqx.field(converter=as_inexact, default=None)
    score_cost: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        check_positive("end", self.end, "give the time at which the pool is complete")
        check_fraction("start", self.start)
        check_choice("order", self.order, ("easy_to_hard", "hard_to_easy"))
        check_choice("pacing", self.pacing, ("linear", "root", "step"))
        check_positive("steps", self.steps, "give at least one step")

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return lowest_mass(self._order(state, observation.mass), self._pool(observation.time)), state

    @property
    def _hardest_first(self) -> bool:
        return self.order == "hard_to_easy"

    def _pool(self, time):
        """Fraction of the mass in the pool at `time`."""
        done = jnp.clip(time / self.end, 0, 1)
        if self.pacing == "root":
            return jnp.sqrt(self.start**2 + (1 - self.start**2) * done)
        if self.pacing == "step":  # times are rounded: a step that falls on a refresh must not slip to the next
            done = jnp.floor(done * self.steps * (1 + 4 * jnp.finfo(done.dtype).eps)) / self.steps
        return self.start + (1 - self.start) * done
