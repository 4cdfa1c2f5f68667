"""Constrain stages: what can be delivered. Each takes any score and returns weights of mean one."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import check_entries, check_non_negative, check_positive, concrete, is_concrete
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges, as_inexact
from .._where import where
from ..numerics import mean_one, project_to_bounds
from ._base import AbstractStage, Kind
from ._observe import AbstractFirstOrderLag


class Clip(AbstractStage):
    """Project onto density ratios between two bounds: clip(c s, low, high) with c such that the mean is one.

    Not clip-then-normalise, which breaks the cap. Entries of zero score share what the cap leaves over.

    Arguments:
        low: lower bound, in [0, 1].
        high: upper bound, at least 1.
    """

    kind: ClassVar[Kind] = "constrain"
    ranges: ClassVar[Ranges] = {"low": (0.0, 1.0), "high": (1.0, None)}
    memoryless: ClassVar[bool] = True
    low: Float[Array, ""] = eqx.field(converter=as_inexact)
    high: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_non_negative("low", self.low)
        check_positive("high", self.high)
        if is_concrete(self.low, self.high):
            low, high = np.max(concrete(self.low)), np.min(concrete(self.high))
            if low > 1 or high < 1:
                raise ValueError(
                    f"clip(low={low:.6g}, high={high:.6g}) admits no weights of mean one: choose low <= 1 <= high."
                )

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        # a search may move the bounds past 1, where no weights of mean one would be left
        low = where(self.low > 1, 1, where(self.low < 0, 0, self.low))  # a clip makes zero of a subnormal
        high = jnp.maximum(self.high, 1)
        return project_to_bounds(signal, observation.mass, low, high), state

    def weight_bounds(self, *, fixed: bool = False) -> tuple[float, float] | None:
        return None if fixed else (float(np.min(concrete(self.low))), float(np.max(concrete(self.high))))


class Mix(AbstractStage):
    """Leave a uniform share to everything: (1 - eps) s + eps, s of mean one.

    Arguments:
        eps: share of uniform sampling, in [0, 1]; also the smallest weight.
    """

    kind: ClassVar[Kind] = "constrain"
    ranges: ClassVar[Ranges] = {"eps": (0.0, 1.0)}
    memoryless: ClassVar[bool] = True
    eps: Float[Array, ""] = eqx.field(converter=as_inexact)

    def __check_init__(self) -> None:
        check_non_negative("eps", self.eps)
        check_entries("eps", self.eps, lambda x: x <= 1, "give a share between 0 and 1")

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return (1 - self.eps) * mean_one(signal, observation.mass) + self.eps, state


class Smooth(AbstractFirstOrderLag):
    """Weights that move slowly: a first-order lag on weights of mean one.

    Arguments:
        tau: time constant, in units of time; 0 passes weights through.
    """

    kind: ClassVar[Kind] = "constrain"

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        return self._follow(mean_one(signal, observation.mass), observation, state)
