"""Gradient flow of least squares on reweighted examples."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_choice, check_positive
from .._observation import Observation
from .._types import Array, Float
from ..numerics import (
    ROUTES,
    Spectrum,
    gram,
    log_or_minus_inf,
    once_pays,
    phi1_spectrum,
    row_product,
    spectrum,
    sum_rows,
    total,
    weighted_phi1,
    without_derivative,
)
from ..problems import OperatorProblem
from ._base import AbstractDynamics, require

_TOLERANCE = {"float64": 1e-10, "float32": 1e-6}
_MOST_RISE = 1e-3  # of the training loss over an interval: more than the tolerance makes of it
_MOST_NOISE = {"float64": 1e-10, "float32": 1e-5}  # of the loss of no model at all: so little is rounding, not a rise


class OperatorState(eqx.Module):
    """Parameters (features, outputs), and the residual Y - Phi theta on the training set (examples, outputs)."""

    parameters: Float[Array, "features outputs"]
    residual: Float[Array, "examples outputs"]


class OperatorFlow(AbstractDynamics):
    """theta(t + h) = theta(t) + h phi_1(-h M_w) Phi^T P W r, exact for held weights and any targets.

    Arguments:
        method: how phi_1(-h M_w) acts. "eigh": by one eigendecomposition of M_w a refresh, in O(examples x features^2 +
            features^3). "chebyshev": by about 5 sqrt(h kappa) products with Phi or M_w, kappa the trace; the members
            of a batch share those with Phi. "auto": whichever costs less, chosen at each refresh for a whole batch; in
            float32 eigenvectors for h kappa beyond about 4e3, where rounding would show in short steps. Under weights
            that never change "eigh", and "auto" where that costs less, decompose M_w once for all refreshes.
        tolerance: largest error of the step of the parameters over an interval, relative to the step; 1e-10 in
            float64 and 1e-6 in float32 if None. Rounding adds to it: for each product about one unit of the dtype's
            times the slope times h, which in float32 shows where h kappa is large.

    Raises:
        ValueError: an unknown method, or a tolerance that is not positive or below the reach of the problem's dtype.
    """

    adjoint: ClassVar[str] = "stored"  # an interval costs far more than its state weighs
    faults: ClassVar[tuple[str, ...]] = (
        "training loss rose: the training loss rose over an interval, which gradient flow under held weights cannot "
        "do: rounding has taken over; use float64, or scale the features so that duration times trace is smaller",
    )
    method: str = eqx.field(static=True, default="auto")
    tolerance: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_choice("method", self.method, ROUTES)
        if self.tolerance is not None:
            check_positive("tolerance", self.tolerance)

    def init(self, problem):
        require(problem, OperatorProblem, self)
        self._tolerance(problem)
        return _state(problem, problem.initial_parameters)

    def advance(self, problem, state, weights, duration, key):
        scale = duration * _measure(problem, weights)
        drive = sum_rows(row_product, problem.features, scale[:, None] * state.residual)
        step = weighted_phi1(problem.features, scale, drive, self.method, self._tolerance(problem))
        return _state(problem, state.parameters + step)

    def verify(self, problem, before, after, weights):
        """Flow under held weights lowers the loss that they weight, always."""
        measure = _measure(problem, weights)
        loss = lambda residual: total(measure, jnp.sum(without_derivative(residual) ** 2, axis=1))
        start, end, nothing = loss(before.residual), loss(after.residual), loss(problem.targets)
        rose = end - start > _MOST_RISE * start + _MOST_NOISE[problem.dtype.name] * nothing
        return ((rose, None),)

    def under(self, problem, weights, intervals):
        outputs = problem.targets.shape[1]
        if self.method == "chebyshev" or not (self.method == "eigh" or once_pays(problem.features, outputs, intervals)):
            return self
        return _HeldOperatorFlow(self, spectrum(gram(problem.features, _measure(problem, weights))))

    def _tolerance(self, problem: OperatorProblem) -> float:
        rounding = float(jnp.finfo(problem.dtype).eps)
        if self.tolerance is None:
            return _TOLERANCE[problem.dtype.name]
        if self.tolerance < 2 * rounding:
            raise ValueError(
                f"tolerance={self.tolerance:g} is below what {problem.dtype.name} can reach: give at least "
                f"{2 * rounding:.1g}, or a problem in a wider dtype."
            )
        return self.tolerance

    def observe(self, problem, state, time):
        energy = problem.per_weight(jnp.sum(state.residual**2, axis=1))
        loss = problem.training_loss(energy) if problem.eval_features is None else problem.loss(state.parameters)
        return Observation(time=time, energy=energy, log_energy=log_or_minus_inf(energy), loss=loss, state=state)


class _HeldOperatorFlow(AbstractDynamics):
    """`OperatorFlow` under weights that never change, by the eigenvectors of their one M_w."""

    adjoint: ClassVar[str] = OperatorFlow.adjoint
    faults: ClassVar[tuple[str, ...]] = OperatorFlow.faults
    flow: OperatorFlow
    spectrum: Spectrum

    def init(self, problem):
        return self.flow.init(problem)

    def advance(self, problem, state, weights, duration, key):
        drive = sum_rows(row_product, problem.features, _measure(problem, weights)[:, None] * state.residual)
        return _state(problem, state.parameters + phi1_spectrum(self.spectrum, drive, duration))

    def verify(self, problem, before, after, weights):
        return self.flow.verify(problem, before, after, weights)

    def observe(self, problem, state, time):
        return self.flow.observe(problem, state, time)


def _measure(problem: OperatorProblem, weights: Array) -> Float[Array, "examples"]:
    return problem.example_mass * problem.per_example(weights)


def _state(problem: OperatorProblem, parameters: Array) -> OperatorState:
    return OperatorState(parameters, problem.targets - problem.features @ parameters)
