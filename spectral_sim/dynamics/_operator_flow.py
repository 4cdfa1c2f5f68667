"""Gradient flow of least squares on reweighted examples."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_choice, check_positive
from .._observation import Observation
from .._types import Array, Float, PerWeight, PRNGKeyArray, PyTree
from ..numerics import (
    ROUTES,
    HeldSpectrum,
    held_phi1,
    held_spectrum,
    once_pays,
    row_product,
    squared_norms,
    sum_rows,
    weighted_phi1,
    without_derivative,
)
from ..problems import OperatorProblem
from ._base import AbstractDynamics, require, shown

_TOLERANCE = {"float64": 1e-10, "float32": 1e-6}
_MOST_RISE = 1e-3  # of the training loss over an interval: more than the tolerance makes of it
_MOST_NOISE = {"float64": 1e-10, "float32": 1e-5}  # of the loss of no model at all: so little is rounding, not a rise
LOST = (
    "lost in rounding: rounding may decide the loss, since directions that are still to be learnt after so long a time "
    "are lost in it; use a problem in float64, or shorter times"
)
_MOST_LOST = 0.3  # of the residual that is left; what rounding does is most often a tenth of its bound or less
_RESOLVED = {"float64": 1e-10, "float32": 1e-4}  # of the targets: residuals below are not resolved, and none expects it
_SHARE_OF_PARAMETERS = 0.2  # of the bound on what rounding of Phi theta makes of a residual; measured, most is 0.1


class OperatorState(eqx.Module):
    """Where a learner stands.

    Arguments:
        parameters: theta.
        residual: Y - Phi theta on the training set.
        gain: by how much the last interval may have magnified the rounding of its residual; 0 at the start.
    """

    parameters: Float[Array, "features outputs"]
    residual: Float[Array, "examples outputs"]
    gain: Float[Array, ""]


class OperatorFlow(AbstractDynamics):
    """Gradient flow on data, exact for held weights and any targets.

    An interval of length h takes theta to theta + h phi_1(-h M_w) Phi^T P W r, with r the residual at its start.

    Rounding: a direction of eigenvalue x is learnt at t = 1/x, and the matrix M_w holds x to eps kappa only, kappa its
    trace. In float32, where eps h kappa exceeds 1e-4 (h kappa beyond 840), eigenvectors therefore come from singular
    values of the weighted features, which take two to three times as long; the residual is then right to about
    eps sqrt(h kappa) of itself. Where that, or what rounding makes of Phi theta, may be more than a third of the
    residual that is left, the run stops with a status that says so (in float64 where eps h kappa may be). Losses
    below 1e-8 (float32) or 1e-20 (float64) of the loss of no model are not resolved. Rounding that the features came
    with cannot be seen: make them in float64 where late times count.

    Arguments:
        method: how phi_1(-h M_w) acts. "eigh": by one eigendecomposition of M_w a refresh, in O(examples x features^2 +
            features^3). "chebyshev": by about 5 sqrt(h kappa) products with Phi or M_w; the members of a batch share
            those with Phi. "auto": whichever costs less, chosen at each refresh for a whole batch, by times measured
            for CPUs; on an accelerator by counts of operations, the cost of eigenvectors being measured once in each
            process. So the size of a batch, a chunk or a machine may change the route, and results by the tolerance or
            by rounding, never more; name a method where they must be the same to the last digit. Eigenvectors are taken
            whatever the method where h kappa is so large, beyond about 4e3 in float32, that the rounding of so
            many products would show in short steps. Under weights that never change "eigh", and "auto" where that
            costs less, decompose M_w once for all refreshes.
        tolerance: largest error of the step of the parameters over an interval, relative to the step; 1e-10 in
            float64 and 1e-6 in float32 if None. Rounding adds to it.

    Raises:
        ValueError: an unknown method, or a tolerance that is not positive or below the reach of the problem's dtype.
    """

    adjoint: ClassVar[str] = "stored"  # an interval costs far more than its state weighs
    faults: ClassVar[tuple[str, ...]] = (
        "training loss rose: the training loss rose over an interval, which gradient flow under held weights cannot "
        "do: rounding has taken over; use float64, or scale the features so that duration times trace is smaller",
        LOST,
    )
    method: str = eqx.field(static=True, default="auto")
    tolerance: float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check_choice("method", self.method, ROUTES)
        if self.tolerance is not None:
            check_positive("tolerance", self.tolerance)

    def init(self, problem: Any) -> PyTree:
        require(problem, OperatorProblem, self)
        self._tolerance(problem)
        return _state(problem, problem.initial_parameters, jnp.zeros((), problem.dtype))

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        scale = duration * problem.example_mass * problem.per_example(weights)
        drive = sum_rows(row_product, problem.features, scale[:, None] * state.residual, after=state.gain)
        step, gain = weighted_phi1(problem.features, scale, drive, self.method, self._tolerance(problem))
        return _state(problem, state.parameters + step, gain)

    def verify(self, problem: Any, before: PyTree, after: PyTree, weights: PerWeight) -> Sequence[tuple[Array, Any]]:
        """Flow under held weights lowers the loss that they weight, always; and rounding may not be a part of it."""
        rows = (before.residual, after.residual, problem.targets, problem.features)
        squares = jnp.stack([squared_norms(without_derivative(each)) for each in rows], axis=1)
        measure = without_derivative(_measure(problem, weights))
        start, end, nothing, trace = jnp.sum(measure[:, None] * squares, axis=0)
        rose = end - start > _MOST_RISE * start + _MOST_NOISE[problem.dtype.name] * nothing
        parameters = jnp.sum(without_derivative(after.parameters) ** 2)
        units = after.gain * jnp.sqrt(start) + _SHARE_OF_PARAMETERS * jnp.sqrt(trace * parameters)
        least = jnp.maximum(_MOST_LOST * jnp.sqrt(end), _RESOLVED[problem.dtype.name] * jnp.sqrt(nothing))
        return (rose, None), (jnp.finfo(problem.dtype).eps * units > least, None)

    def under(self, problem: Any, weights: PerWeight, durations: Array) -> "AbstractDynamics":
        outputs, intervals = problem.targets.shape[1], durations.shape[0]
        if self.method == "chebyshev" or not (self.method == "eigh" or once_pays(problem.features, outputs, intervals)):
            return self
        held = held_spectrum(problem.features, _measure(problem, weights), jnp.max(durations))
        return _HeldOperatorFlow(self, held)

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

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        energy = problem.per_weight(jnp.sum(state.residual**2, axis=1))
        loss = problem.training_loss(energy) if problem.eval_features is None else problem.loss(state.parameters)
        return shown(time, energy, loss, state)


class _HeldOperatorFlow(AbstractDynamics):
    """`OperatorFlow` under weights that never change, by the eigenvectors of their one M_w."""

    adjoint: ClassVar[str] = OperatorFlow.adjoint
    faults: ClassVar[tuple[str, ...]] = OperatorFlow.faults
    flow: OperatorFlow
    held: HeldSpectrum

    def init(self, problem):
        return self.flow.init(problem)

    def advance(self, problem, state, weights, duration, key):
        scaled = _measure(problem, weights)[:, None] * state.residual
        drive = sum_rows(row_product, problem.features, scaled, after=state.gain)
        step, gain = held_phi1(self.held, drive, duration)
        return _state(problem, state.parameters + step, gain)

    def verify(self, problem, before, after, weights):
        return self.flow.verify(problem, before, after, weights)

    def observe(self, problem, state, time):
        return self.flow.observe(problem, state, time)


def _measure(problem: OperatorProblem, weights: Array) -> Float[Array, "examples"]:
    return problem.example_mass * problem.per_example(weights)


def _state(problem: OperatorProblem, parameters: Array, gain: Array) -> OperatorState:
    return OperatorState(parameters, problem.targets - problem.features @ parameters, gain)
