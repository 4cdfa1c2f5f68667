"""Gradient flow on a mixture of real data and the learner's own earlier predictions."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_entries, check_non_negative, check_positive, check_scalar
from .._observation import Observation
from .._types import Array, Float, PerWeight, PRNGKeyArray, PyTree, as_inexact, by_refresh
from .._where import where
from ..problems import AbstractProblem
from ._base import AbstractDynamics
from ._modal_flow import ModalFlow
from ._operator_flow import LOST, OperatorFlow, OperatorState


class SelfGeneratedState(eqx.Module):
    """The learner, and what it was when it last labelled samples.

    Arguments:
        learner: state of the flow on real data alone.
        snapshot: log decay of the energies on modes, shape (modes,); the residual on data, shape (examples, outputs).
        taken_at: time of the snapshot.
        time: time of the learner.
        lost: what rounding has taken from the time, to be given back.
    """

    learner: PyTree
    snapshot: Array
    taken_at: Float[Array, ""]
    time: Float[Array, ""]
    lost: Float[Array, ""]

    @property
    def residual(self) -> Array:
        """Residual on the training set of a data problem."""
        return self.learner.residual

    @property
    def parameters(self) -> Array:
        """Parameters on a data problem."""
        return self.learner.parameters


class SelfGenerated(AbstractDynamics):
    """A fraction g of the samples carries the learner's own predictions, from a snapshot renewed now and then.

    With e the residual and e_s that of the snapshot, gradient flow becomes e' = -K W (e - g e_s), exact for held
    weights: per snapshot a mode's residual shrinks by g + (1 - g) exp(-lam w h). Weights act on real and generated
    samples alike.

    * Renewed all the time (the default), the drive is that of real data, 1 - g as strong: uniform sampling slowed by
      exactly 1 / (1 - g).
    * Renewed at times that grow by a ratio R, the loss falls with exponent min(theta0, 2 log(1/g) / log R).
    * Never renewed, it stops at g^2 of the loss at the start.

    More volume and no new drive: it neither moves the frontier nor extends the tail. The formalisation is this
    project's own.

    Arguments:
        fraction: g, in [0, 1).
        period: time between snapshots; 0 renews as `ratio` says, infinity never.
        ratio: R, a snapshot is due when time has grown by this factor since the last; 1 renews as `period` says. With a
            period of 0 and a ratio of 1 labels are always fresh. A snapshot is taken at the first refresh of the grid
            at which both are due.
        flow: how the learner moves between; the default of the problem if None.

    Raises:
        ValueError: a fraction outside [0, 1), a negative period or a ratio below 1; where these are traced, the run
            stops with a fault that names the setting.
        TypeError: a flow that is not one of gradient flow.
    """

    adjoint: ClassVar[str] = "stored"
    faults: ClassVar[tuple[str, ...]] = (
        "bad fraction: fraction is {limit}; give a fraction of own labels in [0, 1)",
        "bad period: period is {limit}; give a time of 0 or above, or inf",
        "bad ratio: ratio is {limit}; time only grows, give a factor of 1 or above",
        LOST,
    )
    fraction: Float[Array, ""] = eqx.field(converter=as_inexact)
    period: Float[Array, ""] = eqx.field(converter=as_inexact, default=0.0)
    ratio: Float[Array, ""] = eqx.field(converter=as_inexact, default=1.0)
    flow: ModalFlow | OperatorFlow | None = None

    def __check_init__(self) -> None:
        if not isinstance(self.flow, ModalFlow | OperatorFlow | None):
            raise TypeError(f"flow is a {type(self.flow).__name__}: give ModalFlow(), OperatorFlow() or None.")
        check_non_negative("fraction", self.fraction, "give a fraction in [0, 1)")
        check_positive("ratio", self.ratio, "give a factor of 1 or above")
        fix = "with no real data nothing new is learnt; give a fraction in [0, 1)"
        check_entries("fraction", self.fraction, lambda x: x < 1, fix)
        check_entries("period", self.period, lambda x: x >= 0, "give a time of 0 or above, or inf")
        check_entries("ratio", self.ratio, lambda x: x >= 1, "time only grows; give a factor of 1 or above")

    def init(self, problem: Any) -> PyTree:
        for name in ("fraction", "period", "ratio"):
            check_scalar(name, getattr(self, name))
        learner = self._flow(problem).init(problem)
        zero = jnp.zeros((), problem.dtype)
        return SelfGeneratedState(learner, _labels(learner), zero, zero, zero)

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        flow, now, learner = self._flow(problem), state.time, state.learner
        slack = 1 - 64 * jnp.finfo(now.dtype).eps  # times are rounded; snapshots that fit a grid must not slip
        due = (now - state.taken_at >= self.period * slack) & (now >= state.taken_at * self.ratio * slack)
        snapshot = where(due, _labels(learner), state.snapshot)
        slowed = where(self._fresh, (1 - self.fraction) * duration, duration)
        if isinstance(flow, ModalFlow):
            real = flow.advance(problem, learner, weights, slowed, key)
            mixed = _mixed_decay(learner, snapshot, real - learner, self.fraction)
            moved = where(self._fresh, real, mixed)
        else:
            # training on targets (1 - g) y + g f_s is training on y with the residual r - g r_s for a drive
            stale = where(self._fresh, 0, self.fraction)
            drive = dataclasses.replace(learner, residual=learner.residual - stale * snapshot)
            moved = flow.advance(problem, drive, weights, slowed, key)
        step = duration - state.lost  # Kahan's sum: times of many intervals are as precise as one
        later = now + step
        return SelfGeneratedState(moved, snapshot, where(due, now, state.taken_at), later, (later - now) - step)

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        return self._flow(problem).observe(problem, state.learner, time).replace(state=state)

    def check(self, problem: Any, state: PyTree, weights: PerWeight, duration: Array) -> Sequence[tuple[Array, Any]]:
        return (
            (~((self.fraction >= 0) & (self.fraction < 1)), self.fraction),
            (~(self.period >= 0), self.period),
            (~(self.ratio >= 1), self.ratio),
        )

    def verify(self, problem: Any, before: PyTree, after: PyTree, weights: PerWeight) -> Sequence[tuple[Array, Any]]:
        flow = self._flow(problem)
        if isinstance(flow, ModalFlow):
            return ((jnp.asarray(False), None),)
        _, lost = flow.verify(problem, before.learner, after.learner, weights)  # old labels may well raise the loss
        return (lost,)

    def reference(self, problem: Any) -> "AbstractDynamics":
        return self._flow(problem)

    def own_labels(self, durations: Float[Array, "intervals"]) -> Float[Array, "intervals"] | None:
        return by_refresh(self.fraction, durations)

    @property
    def _fresh(self) -> Array:
        """Whether labels are renewed all the time, so that there is no snapshot to wait for."""
        return (self.period == 0) & (self.ratio == 1)

    def _flow(self, problem: AbstractProblem) -> Any:
        if self.flow is not None:
            return self.flow
        flow = problem.default_dynamics()
        if not isinstance(flow, ModalFlow | OperatorFlow):
            raise TypeError(f"SelfGenerated advances modes or data, not a {type(problem).__name__}: give flow=.")
        return flow


def _labels(learner: Any) -> Array:
    """What of a learner its labels depend on."""
    return learner.residual if isinstance(learner, OperatorState) else learner


def _mixed_decay(now: Array, snapshot: Array, drive: Array, fraction: Array) -> Array:
    """Log decay of the energies after e(t + h) = g e_s (1 - D) + D e(t), D = exp(drive / 2).

    In logarithms relative to the snapshot, with the larger term taken out: energies underflow, and g may be 0.
    """
    kept = (now - snapshot + drive) / 2
    least = jnp.log(jnp.finfo(kept.dtype).tiny)
    own = where(fraction > 0, jnp.log(where(fraction > 0, fraction, 1)), -jnp.inf)
    largest = jax.lax.stop_gradient(jnp.maximum(kept, own))
    share = where(largest >= least, fraction * jnp.exp(-jnp.maximum(largest, least)), 0)
    return snapshot + 2 * (largest + jnp.log(jnp.exp(kept - largest) - share * jnp.expm1(drive / 2)))
