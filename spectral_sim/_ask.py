"""Asking a schedule for weights at a refresh."""

import jax.numpy as jnp

from ._observation import Observation
from ._status import Status
from ._types import Array, Int, PerWeight, PyTree
from ._where import where
from .numerics import scaled_mean, without_derivative
from .schedules import AbstractStage, advance_state, answer_of


def ask(schedule: AbstractStage, observation: Observation, state: PyTree) -> tuple[PerWeight, PyTree]:
    """What a schedule asks for, of any scale, and its new state.

    A schedule of observe stages alone asks for what it sees, and for uniform weights where it sees nothing.
    """
    mass = observation.mass
    # what is never sampled is never seen, whatever its energy
    energy = where(mass > 0, observation.energy, 0)
    signal, returned = answer_of(schedule, energy, observation.replace(energy=energy), state)
    new_state = advance_state(schedule, state, returned, mass.dtype)
    if schedule.kind == "observe":
        signal = where(jnp.all(signal == 0), 1, signal)
    if jnp.shape(signal) != mass.shape:
        raise ValueError(
            f"the schedule returned weights of shape {jnp.shape(signal)}, but the problem is reweighted by "
            f"{mass.shape[0]} weights: return one for each."
        )
    return jnp.asarray(signal, mass.dtype), new_state


def normalised(signal: PerWeight, mass: PerWeight) -> tuple[PerWeight, Int[Array, ""]]:
    """Weights of mean one in proportion to a signal, and a `Status` code that says what is wrong with it."""
    # in a unit of their own where products of small scores and masses may underflow; a negative weight shows in it as
    # minus infinity
    unit, mean = scaled_mean(signal, mass)
    code = where(mean > 0, Status.OK, Status.ZERO_WEIGHTS)
    code = where(jnp.isfinite(mean), code, Status.NON_FINITE_WEIGHTS)
    code = where(jnp.isneginf(unit), Status.NEGATIVE_WEIGHTS, code)
    # weights that a constrain stage has made mean one are left alone: dividing by 1 + rounding could exceed a cap
    settled = jnp.abs(mean * unit - 1) <= 64 * jnp.finfo(mass.dtype).eps
    divisor = where(mean == 0, 1, mean)
    divisor = divisor / without_derivative(where(settled, divisor * unit, 1))
    return signal * (1 / where(unit == 0, 1, unit)) * (1 / divisor), code.astype(jnp.int32)
