"""A second model beside the learner, trained by gradient flow on uniform samples of the same task.

What a paradigm can see through it depends on how far its own training has come, so that is computed and not assumed.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_length, check_ndim, check_non_negative, check_positive
from .._types import Array, Float, PerRefresh, PerWeight, Refreshes, by_refresh
from .._where import where
from ..numerics import log_or_minus_inf, phi1_eigen, row_product, sum_rows
from ..problems import AbstractProblem, ModalProblem, OperatorProblem, mean_squared_norm
from ._base import AbstractStage, Kind, TrainingCost, scored_once, stage_name


class AbstractSecondModelStage(AbstractStage):
    """A stage that sees the residual through a second model, whose training and passes over the data it is charged.

    The fields `training_time`, `exponent`, `eigenvalues`, `features` and `cost` are those of its subclasses.
    """

    kind: ClassVar[Kind] = "observe"
    constants: ClassVar[bool] = True

    def __check_init__(self: Any) -> None:
        if self.training_time is not None:
            check_positive("training_time", self.training_time, "give the time that the second model has trained for")
        if self.exponent is not None:
            check_positive("exponent", self.exponent, "give the exponent of the second spectrum")
        if self.eigenvalues is not None:
            check_non_negative("eigenvalues", self.eigenvalues, "a kernel operator is positive semidefinite")
        if self.exponent is not None and self.eigenvalues is not None:
            raise ValueError(
                "exponent and eigenvalues are both given: they are two ways to write one spectrum; drop one."
            )
        check_non_negative("cost", self.cost, "give the compute of a step in units of the learner's")

    def scoring(self, times: Refreshes) -> Refreshes | None:
        return None

    def model_scoring(self: Any, times: Refreshes, asked: Refreshes) -> Refreshes:
        """One pass over the data if the second model is trained beforehand, else one at each use."""
        return asked if self.training_time is None else scored_once(times)

    def training_cost(self: Any, problem: Any) -> TrainingCost:
        """Its training time counts by its trace over that of the problem."""
        price = self.cost * relative_trace(self, problem)
        if self.training_time is None:
            return TrainingCost(rate=price)
        return TrainingCost(before=price * by_refresh(self.training_time, jnp.zeros(1))[0])


def second_model(stage: Any, problem: AbstractProblem) -> Array:
    """Eigenvalues of the second model on modes, shape (modes,), or its features on data, shape (examples, features).

    Raises:
        ValueError: a spectrum for data, features for modes, or another number of modes or examples.
    """
    name, modal, data = stage_name(stage), problem.as_modal(), problem.as_operator()
    if modal is not None:
        return _second_spectrum(name, stage, modal)
    if data is not None:
        return _second_features(name, stage, data)
    raise ValueError(
        f"{name} trains a second model, but {type(problem).__name__} has neither modes nor features to train it on: "
        "define as_modal() or as_operator()."
    )


def _second_spectrum(name: str, stage: Any, problem: ModalProblem) -> Array:
    if stage.features is not None:
        raise ValueError(f"{name} has features, but the problem has modes only: give eigenvalues or exponent.")
    if stage.exponent is not None:
        return jnp.asarray(problem.index**-stage.exponent, problem.dtype)
    if stage.eigenvalues is None:
        return problem.eigenvalues
    if stage.eigenvalues.shape != problem.eigenvalues.shape:
        raise ValueError(
            f"{name} has eigenvalues of shape {stage.eigenvalues.shape}, but the problem has "
            f"{problem.eigenvalues.shape[0]} modes: give one for each."
        )
    return stage.eigenvalues.astype(problem.dtype)


def _second_features(name: str, stage: Any, problem: OperatorProblem) -> Array:
    if stage.exponent is not None or stage.eigenvalues is not None:
        raise ValueError(f"{name} has a spectrum, but the problem is reweighted by example: give features instead.")
    if stage.features is None:
        return problem.features
    check_ndim("features", stage.features, 2, "examples, features")
    number = problem.features.shape[0]
    check_length(f"{name}'s features", stage.features, number, f"a problem of {number} examples")
    return stage.features.astype(problem.dtype)


def learner_model(problem: AbstractProblem) -> Array:
    """What `second_model` returns for a second model that is the learner."""
    modal, data = problem.as_modal(), problem.as_operator()
    if modal is not None:
        return modal.eigenvalues
    assert data is not None  # or there would be no second model
    return data.features


def once_trained(signal: Array, training_time: Array) -> Array:
    """The signal, or NaN where a traced training time is not positive: NaN stops the run with a status."""
    return where(training_time > 0, signal, jnp.nan)


def relative_trace(stage: Any, problem: AbstractProblem) -> Float[Array, ""]:
    """Divide the trace of the second model's operator by that of the problem: how many steps its unit of time takes.

    Arguments:
        stage: with a second model.
        problem: what both learn.
    """
    model, modal = second_model(stage, problem), problem.as_modal()
    if modal is not None:
        return jnp.sum(modal.multiplicity * model) / modal.trace
    return mean_squared_norm(problem.example_mass, model) / problem.trace


@dataclasses.dataclass(frozen=True)
class SecondModel:
    """A model through which a stage sees the residual.

    Arguments:
        name: what it is called in reports.
        stage: the stage that trains it, with a `training_time`: None where it is trained alongside the learner.
        problem: what both learn.
        threshold: progress from which on it knows something.
    """

    name: str
    stage: Any
    problem: AbstractProblem
    threshold: Any

    @property
    def training_time(self) -> Any:
        """How long it has been trained before the run; None if it is trained alongside."""
        return self.stage.training_time

    @property
    def varies(self) -> bool:
        """Whether another model is looked through at every refresh."""
        return isinstance(self.threshold, PerRefresh) or isinstance(self.training_time, PerRefresh)

    def progress(self) -> PerWeight:
        """How far it has learnt each weight, u = 1/2 log(E(0) / E), once it has been trained for its training time."""
        return training_progress(self.problem, self.stage)


class Trained(NamedTuple):
    """The second model at some time: residual energy as weights have it, residual on data, progress from its start."""

    energy: PerWeight
    residual: Float[Array, "examples outputs"] | None
    progress: PerWeight


def trained(problem: AbstractProblem, model: Array, time: Float[Array, ""]) -> Trained:
    """The second model after `time` on uniform samples, from zero; exact."""
    modal, data = problem.as_modal(), problem.as_operator()
    if modal is not None:
        decay = model * time
        return Trained(modal.energies * jnp.exp(-2 * decay), None, decay)
    assert data is not None  # or there would be no model
    scale = time * data.example_mass
    drive = sum_rows(row_product, model, scale[:, None] * data.targets)
    residual = data.targets - model @ phi1_eigen(model, scale, drive)[0]
    energy = squared(data, residual)
    start = log_or_minus_inf(squared(data, data.targets))
    return Trained(energy, residual, progress(start, log_or_minus_inf(energy)))


@eqx.filter_jit
def training_progress(problem: AbstractProblem, stage: Any) -> PerWeight:
    """Compute u = 1/2 log(E(0) / E) of the second model of a stage, once it has been trained for its training time.

    Arguments:
        problem: what both models learn.
        stage: with a second model and a training time.
    """
    return trained(problem, second_model(stage, problem), stage.training_time).progress


def squared(problem: OperatorProblem, residual: Float[Array, "examples outputs"]) -> PerWeight:
    """Squared residuals summed over outputs, averaged over groups where there are any."""
    return problem.per_weight(jnp.sum(residual**2, axis=1))


def progress(log_start: PerWeight, log_energy: PerWeight) -> PerWeight:
    """u = 1/2 log(E(0) / E); 0 where the energy has risen, or where there never was any."""
    known = jnp.isfinite(log_start)
    now = where(jnp.isfinite(log_energy), log_energy, jnp.log(jnp.finfo(log_energy.dtype).tiny))
    return jnp.maximum(where(known, log_start - now, 0), 0) / 2


def visibility(progress: PerWeight, threshold: Float[Array, ""], sharpness: Float[Array, ""]) -> PerWeight:
    """h(u) = u^q / (u^q + u0^q): 0 before anything is learnt, 1 long after u0; a step at u0 for q = inf."""
    hard, begun = jnp.isinf(sharpness), progress > 0
    log_ratio = jnp.log(where(begun, progress, 1)) - jnp.log(threshold)
    soft = jax.nn.sigmoid(where(hard, 1, sharpness) * log_ratio)
    return where(begun, where(hard, where(progress >= threshold, 1, 0), soft), 0).astype(progress.dtype)


def seen_through(signal: PerWeight, visible: PerWeight, mass: PerWeight) -> PerWeight:
    """The part of a signal that is visible, never so small that it underflows to zero where something is visible.

    A signal that is zero everywhere means uniform weights. Without this floor a curator would turn to uniform weights
    once all that it sees has underflowed, at a time that depends on the floating-point type.
    """
    faint = 4 * jnp.finfo(signal.dtype).tiny
    return where((visible > 0) & (mass > 0), jnp.maximum(visible * signal, faint), 0)
