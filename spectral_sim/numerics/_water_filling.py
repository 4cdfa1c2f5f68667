"""Water-filling: the largest reduction of total residual energy that a budget of progress can buy."""

import jax.numpy as jnp

from .._types import Array, Float

__all__ = ["capped_water_level", "water_level"]


def water_level(
    log_energy: Float[Array, "modes"], multiplicity: Float[Array, "modes"], budget: Float[Array, "..."]
) -> Float[Array, "..."]:
    """log(mu / E_max) with sum_k m_k 1/2 log(E_k / mu)_+ = budget, exact by one sort.

    The level is relative to the largest energy, so that short intervals keep their digits in float32. Modes of zero
    energy take no part.

    Arguments:
        log_energy: log E_k, at least one finite.
        multiplicity: m_k.
        budget: one or several budgets of progress, non-negative.

    Returns:
        The level, in the shape of `budget`.

    Source:
        Boyd and Vandenberghe, Convex Optimization (2004), example 5.2, with log-energies for noise levels.
    """
    depth = jnp.max(log_energy) - log_energy
    order = jnp.argsort(depth)
    depth, count = depth[order], jnp.where(jnp.isfinite(depth), multiplicity, 0)[order]
    depth = jnp.where(jnp.isfinite(depth), depth, 0)
    modes, volume = jnp.cumsum(count), jnp.cumsum(count * depth)
    # entry j joins once the budget has drained those before it down to its own level
    joins = jnp.where(count > 0, 0.5 * (modes * depth - volume), jnp.inf)
    active = jnp.searchsorted(joins, budget, side="right") - 1
    active = jnp.clip(active, 0, depth.size - 1)
    return -(volume[active] + 2 * budget) / modes[active]


def capped_water_level(
    log_energy: Float[Array, "modes"],
    multiplicity: Float[Array, "modes"],
    limit: Float[Array, "modes"],
    budget: Float[Array, ""],
) -> Float[Array, ""]:
    """log(mu / E_max) with sum_k m_k clip(1/2 log(E_k / mu), 0, limit_k) = budget, exact by one sort.

    Arguments:
        log_energy: log E_k, at least one finite.
        multiplicity: m_k.
        limit: most progress that each mode can make.
        budget: total progress, at most sum_k m_k limit_k; what modes of zero energy would take of it is left unused.
    """
    depth = jnp.max(log_energy) - log_energy
    count = jnp.where(jnp.isfinite(depth), multiplicity, 0)
    depth = jnp.where(jnp.isfinite(depth), depth, 0)
    # spent(x) at depth x below the top is piecewise linear: mode k starts at depth_k and is full at depth_k + 2 limit_k
    corner = jnp.concatenate([depth, depth + 2 * limit])
    turn = jnp.concatenate([count, -count]) / 2
    order = jnp.argsort(corner)
    corner, turn = corner[order], turn[order]
    slope = jnp.cumsum(turn)[:-1]
    spent = jnp.concatenate([jnp.zeros_like(corner[:1]), jnp.cumsum(slope * jnp.diff(corner))])
    left = jnp.clip(jnp.searchsorted(spent, budget, side="right") - 1, 0, corner.size - 2)
    rising = slope[left] > 0
    extra = jnp.where(rising, (budget - spent[left]) / jnp.where(rising, slope[left], 1), 0)
    return -jnp.minimum(corner[left] + extra, corner[-1])
