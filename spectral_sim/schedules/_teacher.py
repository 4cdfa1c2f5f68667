"""Teacher acceleration: the residual as a second, trained model can show it."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_choice, check_positive
from .._observation import Observation
from .._types import Array, Float, PerWeight, PyTree, Ranges, as_inexact
from .._where import where
from ..numerics import log_or_minus_inf
from ._base import SMALLEST
from ._second_model import (
    AbstractSecondModelStage,
    SecondModel,
    once_trained,
    progress,
    second_model,
    seen_through,
    squared,
    trained,
    visibility,
)
from ._self_scoring import check_sharpness


class Teacher(AbstractSecondModelStage):
    """What a teacher can show of the residual; the teacher's own training is simulated.

    The teacher is trained beforehand on uniform samples for `training_time`, from zero and exactly. On modes it has
    then made the progress u_k = mu_k x training_time, mu its eigenvalues; on examples
    u_i = 1/2 log(|y_i|^2 / |residual_i|^2).

    What it shows is

    * "residual": h(u) max(E_learner, E_teacher), h(u) = u^q / (u^q + u0^q) with threshold u0 and sharpness q. By
      default a step: modes (or examples) whose energy has fallen by a factor e are known, and beyond this frontier it
      sees nothing. Nor does it tell residuals below its own. Follow it by `mix(eps)`, or what it does not know is never
      learnt; where it knows nothing at all weights are uniform.
    * "distance": |f_learner - f_teacher|^2, what one would measure without targets. On modes
      E_k(0) (exp(-u_learner) - exp(-u_teacher))^2. Where the teacher lags behind the learner this scores what the
      learner *already knows*, and curation by it can be slower than none.

    It speeds up learning as far as the teacher's frontier (`analysis.teacher_frontier`), then stops; it cannot extend
    the tail. The formalisation is this project's own. Put it first in a chain; nothing may stand before "distance",
    which looks at the learner itself.

    Arguments:
        training_time: of the teacher, in units of time.
        shows: "residual" or "distance".
        threshold: progress u0 from which on something is known; 1/2 is a fall of the energy by a factor e.
        sharpness: q; infinite for a step.
        exponent: eigenvalues mu_k = k^-exponent of the teacher; those of the problem if None. Modes only.
        eigenvalues: mu_k one by one, shape (modes,), instead.
        features: the teacher's features of the same examples, shape (examples, teacher_features); those of the problem
            if None. Data only.
        cost: compute of a training step of the teacher, in units of the learner's. How many steps its training time
            takes follows from the trace of its operator, as for the learner; see `curation_cost`.

    Raises:
        ValueError: numbers out of range; at the start of a run, a teacher with another number of modes or examples.
    """

    ranges: ClassVar[Ranges] = {
        "training_time": (SMALLEST, None),
        "threshold": (SMALLEST, None),
        "sharpness": (SMALLEST, None),
        "exponent": (SMALLEST, None),
        "eigenvalues": (0.0, None),
    }
    training_time: Float[Array, ""] = eqx.field(converter=as_inexact)
    shows: str = eqx.field(static=True, default="residual")
    threshold: Float[Array, ""] = eqx.field(converter=as_inexact, default=0.5)
    sharpness: Float[Array, ""] = eqx.field(converter=as_inexact, default=jnp.inf)
    exponent: Float[Array, ""] | None = eqx.field(converter=as_inexact, default=None)
    eigenvalues: Float[Array, "modes"] | None = eqx.field(converter=as_inexact, default=None)
    features: Float[Array, "examples teacher_features"] | None = eqx.field(converter=as_inexact, default=None)
    cost: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        check_choice("shows", self.shows, ("residual", "distance"))
        check_positive("threshold", self.threshold, "give the progress from which on something is known")
        check_sharpness(self.sharpness)

    @property
    def reads_signal(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.shows != "distance"

    def init(self, problem: Any) -> Any:
        taught = trained(problem, second_model(self, problem), self.training_time)
        return taught.energy, taught.residual, taught.progress

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        energy, residual, learnt = state
        if self.shows == "residual":
            visible = visibility(learnt, self.threshold, self.sharpness)
            if observation.problem.as_modal() is not None:
                visible = where(observation.initial_energy > 0, visible, 0)
            seen = seen_through(jnp.maximum(signal, energy), visible, observation.mass)
            return once_trained(seen, self.training_time), state
        if residual is None:
            own = progress(log_or_minus_inf(observation.initial_energy), observation.log_energy)
            distance = observation.initial_energy * (jnp.exp(-own) - jnp.exp(-learnt)) ** 2
        else:
            distance = squared(observation.problem.as_operator(), observation.state.residual - residual)
        return once_trained(where(observation.mass > 0, distance, 0), self.training_time), state

    def second_model(self, problem: Any) -> "SecondModel | None":
        return SecondModel("teacher", self, problem, self.threshold)
