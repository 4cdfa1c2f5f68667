"""Self-scoring: a learner that sees its error only on what it has begun to learn."""

from typing import ClassVar

import equinox as eqx

from .._checks import check_entries, check_positive
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges, Refreshes, as_inexact
from ..numerics import log_or_minus_inf
from ._base import SMALLEST, AbstractStage, Kind
from ._second_model import progress, seen_through, visibility


class SelfScoring(AbstractStage):
    """The learner as its own judge: seen = E h(u), h(u) = u^q / (u^q + u0^q), u = 1/2 log(E(0) / E) its own progress.

    Where it has learnt nothing yet it does not see that anything is missing. With a hard threshold it looks backwards:
    budget goes to what has been seen, the frontier moves by the uniform share of `mix(eps)` alone, and the exponent
    stays the static one: the loss is that of uniform sampling at c t, c = eps P(theta0, 2 u0)^(-1 / theta0), P the
    regularised lower incomplete gamma function, in the limit of dense refreshes (at 32 a decade a mode is noticed late,
    which costs up to 4% of the loss, and half as much each time their number doubles). With soft visibility (q <= 1)
    the little that is seen beyond the frontier feeds back on itself and tracks it; for q between 1 and 2 it depends on
    how dense the refreshes are, and steeper visibility tends to the step. On shells steep visibility needs many nodes:
    few look like tracking. For noisy scores chain `add_noise`.

    Its progress is read off the learner itself, also behind `stale` or `subsample`: put it before them, or scoring is
    charged at every refresh.

    The formalisation is this project's own. On examples u is the fall of the example's own residual, and what is seen
    is what it has begun to fit: the loss may rise far above that of uniform sampling.

    Arguments:
        threshold: visibility threshold u0, progress at which half is seen.
        sharpness: q; infinite for a step at u0.

    Raises:
        ValueError: numbers out of range.
    """

    kind: ClassVar[Kind] = "observe"
    ranges: ClassVar[Ranges] = {"threshold": (SMALLEST, None), "sharpness": (SMALLEST, None)}
    looks_past: ClassVar[bool] = True
    threshold: Float[Array, ""] = eqx.field(converter=as_inexact, default=0.5)
    sharpness: Float[Array, ""] = eqx.field(converter=as_inexact, default=1.0)

    def __check_init__(self) -> None:
        check_positive("threshold", self.threshold, "give the progress at which half of the residual is seen")
        check_sharpness(self.sharpness)

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        begun = progress(log_or_minus_inf(observation.initial_energy), observation.log_energy)
        return seen_through(signal, visibility(begun, self.threshold, self.sharpness), observation.mass), state

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return None


def check_sharpness(value) -> None:
    """Raise unless a sharpness is positive; infinity is a step."""
    check_entries("sharpness", value, lambda x: x > 0, "it must be positive; inf makes a step")
