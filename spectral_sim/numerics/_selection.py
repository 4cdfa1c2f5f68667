"""Selecting a fraction of the mass by score."""

import jax
import jax.numpy as jnp

from .._types import Array, Float

__all__ = ["mass_rank", "top_mass"]


def mass_rank(score: Float[Array, "weights"], mass: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """Mass of the entries up to and including each one, in ascending order of score (ties by position)."""
    order = jnp.argsort(score, stable=True)
    return jnp.zeros_like(mass).at[order].set(jnp.cumsum(mass[order]))


def top_mass(
    score: Float[Array, "weights"], mass: Float[Array, "weights"], fraction: Float[Array, ""]
) -> Float[Array, "weights"]:
    """1 on the entries of highest score that hold at least `fraction` of the mass, 0 elsewhere.

    The threshold is found by bisection on the bit pattern of non-negative floats, which orders as they do: as many
    passes as the float has bits, and no sort. Entries tied with the threshold are all kept.
    """
    score, mass, fraction = jax.lax.stop_gradient((score, mass, fraction))
    bits = jnp.finfo(score.dtype).bits
    integer = jnp.dtype(f"int{bits}")
    pattern = jax.lax.bitcast_convert_type(jnp.maximum(score, 0), integer)
    enough = fraction * (1 - 4 * jnp.finfo(score.dtype).eps) * jnp.sum(mass)

    def halve(_, bracket):
        low, high = bracket  # the mass above `low` suffices, that above `high` does not
        middle = low + (high - low) // 2
        suffices = jnp.sum(jnp.where(pattern >= middle, mass, 0)) >= enough
        return jnp.where(suffices, middle, low), jnp.where(suffices, high, middle)

    bracket = (jnp.zeros((), integer), jnp.max(pattern) + 1)
    threshold = jax.lax.fori_loop(0, bits, halve, bracket)[0]
    return jnp.where(pattern >= threshold, 1.0, 0.0).astype(score.dtype)
