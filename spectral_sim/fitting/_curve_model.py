"""The law of a loss curve: SGD on a power-law spectrum, with parameters on scales that a search can walk on."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._simulate import simulate
from .._types import Array, Float, PerRefresh, as_inexact
from ..dynamics import SGDMoments
from ..problems import ModalProblem, power_law
from ..schedules import AbstractStage, uniform
from ._curve_grid import CurveBatch

# What is fitted, in the order of a vector of parameters. Each is mapped to the real line; see `CurveLaw.natural`.
NAMES = ("alpha", "beta", "eigenvalue_scale", "energy_scale", "floor", "noise_strength", "noise_exponent")


class CurveLaw(eqx.Module):
    """Constants of a fit, and the map between parameters and the real line.

    Arguments:
        peak: the largest rate of the fitted curves, at which the noise is as fitted, scalar.
        lowest: the smallest fitted loss, above the floor, scalar.
        max_mode: number of modes.
        nodes: quadrature nodes that stand for them.
    """

    peak: Float[Array, ""] = eqx.field(converter=as_inexact)
    lowest: Float[Array, ""] = eqx.field(converter=as_inexact)
    max_mode: float = eqx.field(static=True)
    nodes: int = eqx.field(static=True)

    def natural(self, point: Any) -> dict[str, Any]:
        """Parameters from a point of the real line, shape (7,)."""
        alpha, beta, scale, energy, floor, noise, exponent = point
        return {
            "alpha": 1 + jnp.exp(alpha),
            "beta": 1 + jnp.exp(beta),
            # the fastest mode never overshoots: its rate times its eigenvalue is below 1
            "eigenvalue_scale": jax.nn.sigmoid(scale) / self.peak,
            "energy_scale": jnp.exp(energy),
            "floor": self.lowest * jax.nn.sigmoid(floor),
            "noise_strength": jnp.exp(noise),
            "noise_exponent": exponent,
        }

    def problem(self, values: dict[str, Any]) -> ModalProblem:
        """The power law of some parameters."""
        names = "eigenvalue_scale", "energy_scale", "floor"
        return power_law(
            values["alpha"],
            values["beta"],
            max_mode=self.max_mode,
            nodes=self.nodes,
            **{name: values[name] for name in names},
        )

    def dynamics(self, values: dict[str, Any], rates: Any, noise: Any = 1.0) -> SGDMoments:
        """Full gradients and noise of the labels; `noise` is relative to that of the fitted batch size."""
        return SGDMoments(
            rates,
            jnp.inf,
            noise_strength=values["noise_strength"] * noise,
            noise_exponent=values["noise_exponent"],
            reference_rate=self.peak,
        )


def _curves(
    law: CurveLaw, values: dict[str, Any], batch: CurveBatch, schedule: AbstractStage | None = None
) -> Float[Array, "curves points"]:
    problem = law.problem(values)

    def one(grid, rates, noise, index):
        dynamics = law.dynamics(values, PerRefresh(rates), noise)
        return simulate(problem, schedule or uniform(), grid, dynamics=dynamics, adjoint="direct", throw=False).loss[
            index
        ]

    parts = batch.grid, batch.rates, batch.noise, batch.index
    return jax.vmap(one)(*map(jnp.asarray, parts))


@eqx.filter_jit
def log_losses(law: CurveLaw, point: Array, batch: CurveBatch) -> Float[Array, "curves points"]:
    """Logarithms of the losses of every curve where they were measured."""
    return jnp.log(_curves(law, law.natural(point), batch))


@eqx.filter_jit
def log_losses_and_slopes(
    law: CurveLaw, point: Array, batch: CurveBatch
) -> tuple[Float[Array, "curves points"], Float[Array, "curves points parameters"]]:
    """The same with their derivatives in the parameters, all seven in one run in forward mode."""

    def push(direction):
        return jax.jvp(lambda p: jnp.log(_curves(law, law.natural(p), batch)), (point,), (direction,))

    return jax.vmap(push, out_axes=(None, -1))(jnp.eye(len(NAMES), dtype=point.dtype))


@eqx.filter_jit
def law_parts(
    law: CurveLaw, point: Array, batch: CurveBatch
) -> tuple[Float[Array, "curves points"], Float[Array, "curves points"]]:
    """The loss is linear in the energy scale and in the noise: what a unit of each of them gives, above the floor."""
    values = {**law.natural(point), "floor": 0.0, "energy_scale": 1.0}
    quiet = _curves(law, {**values, "noise_strength": jnp.zeros((), point.dtype)}, batch)
    loud = _curves(law, {**values, "noise_strength": jnp.ones((), point.dtype)}, batch)
    return quiet, loud - quiet


@eqx.filter_jit
def ensemble_losses(
    law: CurveLaw, points: Float[Array, "members parameters"], batch: CurveBatch, schedule: AbstractStage | None
) -> Float[Array, "members curves points"]:
    """Logarithms of the losses for several parameters, under a schedule of weights; uniform weights if None."""
    return jax.vmap(lambda point: jnp.log(_curves(law, law.natural(point), batch, schedule)))(points)
