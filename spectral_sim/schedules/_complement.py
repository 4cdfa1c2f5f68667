"""Heterogeneous complementarity: what the learner gets wrong and another model does not."""

import warnings
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._checks import is_concrete
from .._observation import Observation
from .._types import Array, Float, PerRefresh, PerWeight, PyTree, Ranges, as_inexact
from .._where import where
from ..numerics import log_or_minus_inf, without_derivative
from ._base import SMALLEST
from ._second_model import (
    AbstractSecondModelStage,
    SecondModel,
    learner_model,
    once_trained,
    progress,
    second_model,
    trained,
)

_KNOWN = 0.5  # progress at which the energy has fallen by a factor e
_ROUNDING = 32  # units of the dtype's precision that a logarithm of a residual energy may be off by
_INTEGRATED = {"float32": 1e-4, "float64": 1e-8}  # of the largest residual at the start, that one on data may be off by


class Complement(AbstractSecondModelStage):
    """Excess residual over a second model of another kind, max(0, E_learner - E_second).

    The second model has another spectrum (on modes) or another kernel (on data). It is trained by gradient flow on
    uniform samples, exactly: for `training_time` beforehand, or alongside the learner, always as old as it is.

    It sees a mode exactly where the second model is ahead: it extends the tail as far as the second spectrum is
    heavier, and nowhere else. Where nothing is in excess weights are uniform, and it is blind to what neither model
    knows. The formalisation is this project's own; the second spectrum is an input, never hidden.

    One that trains alongside is looked at as it is now, also behind `stale`, and is charged for that; put `stale` after
    it to look at both seldom.

    Arguments:
        training_time: of the second model, in units of time; None trains it alongside.
        exponent: its eigenvalues mu_k = k^-exponent; those of the problem if None. Modes only.
        eigenvalues: mu_k one by one, shape (modes,), instead.
        features: its features of the same examples, shape (examples, second_features); those of the problem if None.
            Data only.
        cost: compute of a training step of the second model, in units of the learner's. How many steps its training
            time takes follows from the trace of its operator, as for the learner; see `curation_cost`.

    Raises:
        ValueError: numbers out of range; at the start of a run, a model with another number of modes or examples.

    Source:
        On examples the excess loss of Mindermann et al., Prioritized Training on Points that are Learnable, Worth
        Learning, and Not Yet Learnt (2022), Xie et al., DoReMi (2023), and Evans et al., Data Curation via Joint
        Example Selection (2024).
    """

    ranges: ClassVar[Ranges] = {
        "training_time": (SMALLEST, None),
        "exponent": (SMALLEST, None),
        "eigenvalues": (0.0, None),
    }
    training_time: Float[Array, ""] | None = eqx.field(converter=as_inexact, default=None)
    exponent: Float[Array, ""] | None = eqx.field(converter=as_inexact, default=None)
    eigenvalues: Float[Array, "modes"] | None = eqx.field(converter=as_inexact, default=None)
    features: Float[Array, "examples second_features"] | None = eqx.field(converter=as_inexact, default=None)
    cost: float = eqx.field(static=True, default=1.0)

    def validate(self, problem: Any) -> None:
        varies = any(isinstance(getattr(self, name), PerRefresh) for name in ("exponent", "eigenvalues", "features"))
        if self.training_time is not None or varies:
            return
        if _equal(second_model(self, problem), learner_model(problem)):
            warnings.warn(
                "complement's second model is the learner itself, as old as it is: there is no excess, and weights are "
                "uniform. Give it another spectrum (exponent=, eigenvalues=) or other features=, or a training_time=.",
                stacklevel=3,
            )

    def init(self, problem: Any) -> Any:
        model = second_model(self, problem)
        if self.training_time is None:
            return model
        second = trained(problem, model, self.training_time)
        return second.energy, second.progress

    def __call__(self, signal: PerWeight, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
        if self.training_time is None:
            second = trained(observation.problem, state, observation.time)
            energy, learnt = second.energy, second.progress
        else:
            energy, learnt = state
        # an excess below the error of what both energies were computed by is none
        own = progress(log_or_minus_inf(observation.initial_energy), observation.log_energy)
        rounding = _ROUNDING * jnp.finfo(signal.dtype).eps * (1 + own)
        excess = signal - energy
        clear = excess > rounding * signal
        if observation.problem.as_operator() is not None:
            largest = jnp.max(where(observation.mass > 0, observation.initial_energy, 0))
            clear &= _root(signal) - _root(energy) > _INTEGRATED[signal.dtype.name] * _root(largest)
        excess = where((observation.mass > 0) & clear, excess, 0)
        # what is in excess stays so after both energies have underflowed: weights must not turn uniform at a time that
        # the floating-point type sets
        faint = 4 * jnp.finfo(signal.dtype).tiny
        drained = (signal < faint) & (observation.energy < faint) & (observation.initial_energy > 0)
        ahead = (observation.mass > 0) & (learnt > (1 + rounding) * own)
        excess = where(drained & ahead, faint, excess)
        excess = where(jnp.max(excess) > 0, excess, 1)
        return excess if self.training_time is None else once_trained(excess, self.training_time), state

    def second_model(self, problem: Any) -> "SecondModel | None":
        return SecondModel("second model", self, problem, _KNOWN)


def _root(energy):
    """The size of a residual, without the infinite slope of a square root at zero: what is compared needs none."""
    return jnp.sqrt(without_derivative(energy))


def _equal(model, learner):
    """Whether two models are the same to rounding, as far as their values may be looked at."""
    if model is learner:
        return True
    if model.shape != learner.shape or not is_concrete(model, learner):
        return False
    size = np.abs(np.asarray(learner)).max()
    return bool(np.allclose(model, learner, rtol=0, atol=8 * np.finfo(learner.dtype).eps * size))
