"""Feature learning on shells: energy drifts along the spectrum while weights dissipate it."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_finite, check_non_negative, check_scalar, check_whole
from .._observation import Observation
from .._types import Array, ArrayLike, Float, PerRefresh, PerWeight, PRNGKeyArray, PyTree, as_inexact
from .._where import where
from ..numerics import integral_decay, limited_slope, phi1, repeat
from ..problems import ModalProblem
from ._base import AbstractDynamics, require, shown
from ._sgd_settings import Setting, as_setting
from ._shell_grid import Edges, check_shells, shell_edges, swept_log_distance

_COURANT = 0.9  # of a shell's width, swept in a step
_SAMPLES = 33  # of the drift over an interval, for the largest
_GAUSS = tuple(zip(*(x.tolist() for x in np.polynomial.legendre.leggauss(3)), strict=True))


class TransportState(eqx.Module):
    """Where the energy of the residual is at a time.

    Arguments:
        content: energy in each shell, m_k E_k, shape (modes,); half their sum is the loss.
        lost: energy that left through eigenvalue zero, in the same unit, scalar.
        time: intrinsic time since the start, scalar.
    """

    content: Float[Array, "modes"]
    lost: Float[Array, ""]
    time: Float[Array, ""]


class ShellTransport(AbstractDynamics):
    """Energy that drifts along the spectrum: d_t g + d_lam(v g) = -gamma lam w g + S, v = -c(t) lam^b, on shells.

    v = 0 is lazy training, `ModalFlow`; v != 0 is feature learning: energy moves along the spectrum by itself, towards
    small eigenvalues for c > 0. The drift is an input: this library does not derive it from a network.

    Finite volumes in log lam. Each step moves what the drift sweeps across the edges of shells, along exact
    characteristics and out of a piecewise linear reconstruction, between two exact half steps of dissipation and source
    (Strang splitting): second order in smooth regions, conservative, never negative. The number of steps in an interval
    is the smallest for which no shell is swept by more than nine tenths of its width. Ends have no flux, except that
    for b < 1 characteristics reach lam = 0: what leaves the last shell is counted in `TransportState.lost`.

    Shells of equal width in log lam resolve g best (see `log_shells`); the entries of a `power_law` on shells are
    narrow in the head of the spectrum and wide in its tail, which serves where the density is smooth.

    Arguments:
        drift_exponent: b, scalar.
        drift: c, in units of lam^(1-b) / time: a number, a `PerRefresh` table, or a function of time. A function is
            looked at 33 times in an interval for its largest value: refresh often enough that it has no spikes between.
        gamma: rate of dissipation in units of lam w; 2 for energies, 1 for amplitudes.
        source: energy that enters each shell per unit of time, shape (modes,) or scalar, non-negative.
        max_substeps: the most steps that an interval may take; above it a run stops with a fault, and
            `Trajectory.limit` is the longest interval that would do.

    Raises:
        ValueError: a drift that is not finite, a negative gamma or source; eigenvalues that are zero or equal.

    Source:
        Strang, On the construction and comparison of difference schemes (1968); van Leer, Towards the ultimate
        conservative difference scheme (1977).
    """

    adjoint: ClassVar[str] = "stored"  # an interval holds many steps
    faults: ClassVar[tuple[str, ...]] = (
        "bad gamma: gamma is {limit}; give a finite rate of dissipation, 2 for energies",
        "bad source: source is as low as {limit}; energy enters a shell, give finite values of zero or above",
        "equal eigenvalues: a shell has the width {limit} in log lam; give eigenvalues that differ",
        "bad drift: the drift is not finite in the interval; give a finite drift and a finite drift_exponent",
        "too many steps: the interval takes more steps than the dynamics allows; the longest that it can run is "
        "{limit}: refresh more often, or allow more by max_substeps",
    )
    drift_exponent: Float[Array, ""] = eqx.field(converter=as_inexact)
    drift: Setting = eqx.field(converter=as_setting)
    gamma: Float[Array, ""] = eqx.field(converter=as_inexact, default=2.0)
    source: Any = eqx.field(converter=as_inexact, default=None)
    max_substeps: int = eqx.field(static=True, default=64)

    def __check_init__(self) -> None:
        check_finite("drift_exponent", self.drift_exponent, "give a finite exponent b")
        if not callable(self.drift):
            check_finite("drift", self.drift, "give a finite drift c; 0 is lazy training")
        check_non_negative("gamma", self.gamma, "give 2 for energies, or 1")
        if self.source is not None:
            check_non_negative("source", self.source, "energy enters a shell; dissipation takes it out")
        check_whole("max_substeps", self.max_substeps, "allow at least one step in an interval")

    def validate(self, problem: Any) -> None:
        require(problem, ModalProblem, self)
        check_shells(problem)
        if self.source is not None:
            modes = problem.eigenvalues.shape
            table = isinstance(self.source, PerRefresh)
            shape = self.source.values.shape[1:] if table else np.shape(self.source)
            if shape not in ((), modes):
                raise ValueError(
                    f"source has shape {shape}{' at each refresh' if table else ''}, but the problem has {modes[0]} "
                    "shells: give one number, or one for each."
                )

    def init(self, problem: Any) -> PyTree:
        require(problem, ModalProblem, self)
        zero = jnp.zeros((), problem.dtype)
        return TransportState(problem.multiplicity * problem.energies, zero, zero)

    def advance(
        self, problem: Any, state: PyTree, weights: PerWeight, duration: Array, key: PRNGKeyArray | None
    ) -> PyTree:
        edges = shell_edges(problem)
        steps = jnp.minimum(self._steps(edges, state.time, duration), self.max_substeps)
        step = duration / steps
        rate = self.gamma * problem.eigenvalues * weights
        keep, gain = jnp.exp(-rate * step / 2), None
        if self.source is not None:
            gain = integral_decay(rate, step / 2) * self.source

        def dissipate(content):
            return keep * content if gain is None else keep * content + gain

        def swept(time):
            return _swept_shares(edges, self._shift(time, step), self.drift_exponent)

        constant = None if callable(self.drift) else swept(state.time)

        def one_step(state):
            down, up = swept(state.time) if constant is None else constant
            content, out = _transport(edges, dissipate(state.content), down, up, self.drift_exponent)
            return TransportState(dissipate(content), state.lost + out, state.time + step)

        end = repeat(one_step, state, steps.astype(jnp.int32), int(self.max_substeps))
        return TransportState(end.content, end.lost, state.time + duration)

    def observe(self, problem: Any, state: PyTree, time: Float[Array, ""]) -> Observation:
        energy = state.content / problem.multiplicity
        return shown(time, energy, problem.floor + 0.5 * jnp.sum(state.content), state)

    def check(self, problem: Any, state: PyTree, weights: PerWeight, duration: Array) -> Sequence[tuple[Array, Any]]:
        edges = shell_edges(problem)
        steps = self._steps(edges, state.time, duration)
        source = jnp.zeros((), problem.dtype) if self.source is None else jnp.asarray(self.source)
        thinnest = jnp.min(edges.width)
        return (
            (~((self.gamma >= 0) & jnp.isfinite(self.gamma)), self.gamma),
            (~jnp.all((source >= 0) & jnp.isfinite(source)), jnp.min(source)),
            (~(thinnest > 0), thinnest),
            (~jnp.isfinite(steps), None),
            (steps > self.max_substeps, duration * self.max_substeps / steps),
        )

    def steps_of(self, problem: ModalProblem, times: ArrayLike) -> Float[Array, "intervals"]:
        """How many steps each interval of a refresh grid asks for, also where that is more than allowed.

        Arguments:
            problem: the shells.
            times: refresh grid, shape (times,).

        Returns:
            Whole numbers, shape (times - 1,).

        Raises:
            ValueError: a drift exponent or a drift that is a table: it is sliced by the loop only.
        """
        for name in ("drift_exponent", "drift"):
            if isinstance(getattr(self, name), PerRefresh):
                raise ValueError(f"{name} is a PerRefresh table: give a number, or a function of time for the drift.")
        edges, grid = shell_edges(problem), jnp.asarray(times, problem.dtype)
        return jax.vmap(lambda time, duration: self._steps(edges, time, duration))(grid[:-1], jnp.diff(grid))

    def _drift_at(self, time):
        drift = self.drift(time) if callable(self.drift) else self.drift
        check_scalar("drift", drift)
        return jnp.asarray(drift, time.dtype)

    def _steps(self, edges: Edges, time: Array, duration: Array) -> Array:
        """How many steps keep every shell from being swept by more than `_COURANT` of its width; at least one.

        The shift that sweeps a log distance d at eigenvalue lam is lam^(1 - b) (e^((1 - b) d) - 1) / (1 - b).
        """
        for name in ("drift_exponent", "gamma"):
            check_scalar(name, getattr(self, name))
        samples = time + duration * jnp.linspace(0, 1, _SAMPLES, dtype=time.dtype)
        drifts = eqx.filter_vmap(self._drift_at)(samples) if callable(self.drift) else self._drift_at(time)
        most, least = jnp.max(drifts), jnp.min(drifts)
        q = 1 - self.drift_exponent
        allowed = _COURANT * edges.width
        down = jnp.max(jnp.exp(-q * edges.log[1:]) / (allowed * phi1(q * allowed)))
        up = jnp.max(jnp.exp(-q * edges.log[:-1]) / (allowed * phi1(-q * allowed)))
        rate = jnp.maximum(jnp.maximum(most, 0) * down, jnp.maximum(-least, 0) * up)
        return jnp.maximum(jnp.ceil(rate * duration), 1)

    def _shift(self, time: Array, step: Array) -> Array:
        """The integral of the drift over a step."""
        if not callable(self.drift):
            return self._drift_at(time) * step
        return sum(weight * self._drift_at(time + step * (1 + node) / 2) for node, weight in _GAUSS) * step / 2


def _swept_shares(edges: Edges, shift: Array, exponent: Array) -> tuple[Array, Array]:
    """The share of each shell's width that a step sweeps across its lower and across its upper edge."""
    distance = swept_log_distance(edges.log, shift, exponent)
    down = jnp.clip(distance[1:] / edges.width, 0, 1)
    return down, jnp.clip(-distance[:-1] / edges.width, 0, 1).at[0].set(0)


def _transport(edges: Edges, content: Array, down: Array, up: Array, exponent: Array) -> tuple[Array, Array]:
    """Move the swept parts of a piecewise linear density into the neighbouring shells; what leaves the last, by itself.

    A shell of content U whose density changes by s U / width from edge to edge holds p (U +- s (1 - p) / 2) in the
    share p next to an edge.
    """
    change = edges.width**2 * limited_slope(content / edges.width, edges.width, edges.spacing)
    lower = down * (content + 0.5 * (1 - down) * change)
    upper = up * (content - 0.5 * (1 - up) * change)
    leaves = where(exponent < 1, lower[-1], 0)
    lower = lower.at[-1].set(leaves)
    nothing = jnp.zeros(1, content.dtype)
    entered = jnp.concatenate([nothing, lower[:-1]]) + jnp.concatenate([upper[1:], nothing])
    return content - lower - upper + entered, leaves
