"""Water-filling: the largest reduction of total residual energy that a budget of progress can buy."""

import jax
import jax.numpy as jnp

from .._types import Array, Float
from .._where import where
from ._crossing import rounding_of_mean, where_one
from ._sums import total


def water_level(
    log_energy: Float[Array, "modes"], multiplicity: Float[Array, "modes"], budget: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Find the level of water-filling: log(mu / E_max) with sum_k m_k 1/2 log(E_k / mu)_+ = budget, by one sort.

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
    depth, count = depth[order], where(jnp.isfinite(depth), multiplicity, 0)[order]
    depth = where(jnp.isfinite(depth), depth, 0)
    modes, volume = jnp.cumsum(count), jnp.cumsum(count * depth)
    # entry j joins once the budget has drained those before it down to its own level
    joins = where(count > 0, 0.5 * (modes * depth - volume), jnp.inf)
    active = jnp.searchsorted(joins, budget, side="right") - 1
    active = jnp.clip(active, 0, depth.size - 1)
    return -(volume[active] + 2 * budget) / modes[active]


def held_water_level(
    depth: Float[Array, "modes"], multiplicity: Float[Array, "modes"], budget: Float[Array, ""]
) -> Float[Array, ""]:
    """`water_level` of one budget by a search that goes through all modes a few times, where a sort is slow.

    The search runs without derivatives; the last step is exact on the modes that it finds above the level, and carries
    them. For many budgets of the same energies the sort, made once, is quicker.

    Arguments:
        depth: log(E_k / E_max), at most 0, minus infinity where a mode takes no part.
        multiplicity: m_k.
        budget: positive.
    """
    # sums are products with the multiplicity as it is, which all members of a batch share
    seen = jnp.isfinite(depth)
    below, wanted = where(seen, -depth, jnp.inf), 2 * budget
    still, still_wanted = jax.lax.stop_gradient((below, wanted))
    limits, positive = jnp.finfo(depth.dtype), still_wanted > 0
    # were all modes above the level, it would be here; it is never lower, since modes below it spend nothing
    spent = total(multiplicity, where(seen, still, 0))
    lowest = (still_wanted + spent) / total(multiplicity, seen)
    share = multiplicity / where(positive, still_wanted, 1)
    fall = where_one(
        lambda fall: (total(share, jnp.maximum(fall - still, 0)), total(share, still < fall)),
        start=lowest,
        bottom=jnp.full_like(lowest, limits.tiny),
        top=lowest * (1 + 8 * limits.eps),
        tolerance=rounding_of_mean(still.shape[0], depth.dtype),
        wanted=positive,
    ).x
    above = still < fall
    return -(wanted + total(multiplicity, where(above, below, 0))) / total(multiplicity, above)


def capped_water_level(
    log_energy: Float[Array, "modes"],
    multiplicity: Float[Array, "modes"],
    limit: Float[Array, "modes"],
    budget: Float[Array, ""],
) -> Float[Array, ""]:
    """Find log(mu / E_max) with sum_k m_k clip(1/2 log(E_k / mu), 0, limit_k) = budget, exactly, by one sort.

    Arguments:
        log_energy: log E_k, at least one finite.
        multiplicity: m_k.
        limit: most progress that each mode can make.
        budget: total progress, at most sum_k m_k limit_k; what modes of zero energy would take of it is left unused.
    """
    depth = jnp.max(log_energy) - log_energy
    count = where(jnp.isfinite(depth), multiplicity, 0)
    depth = where(jnp.isfinite(depth), depth, 0)
    # spent(x) at depth x below the top is piecewise linear: mode k starts at depth_k and is full at depth_k + 2 limit_k
    corner = jnp.concatenate([depth, depth + 2 * limit])
    turn = jnp.concatenate([count, -count]) / 2
    order = jnp.argsort(corner)
    corner, turn = corner[order], turn[order]
    slope = jnp.cumsum(turn)[:-1]
    spent = jnp.concatenate([jnp.zeros_like(corner[:1]), jnp.cumsum(slope * jnp.diff(corner))])
    left = jnp.clip(jnp.searchsorted(spent, budget, side="right") - 1, 0, corner.size - 2)
    rising = slope[left] > 0
    extra = where(rising, (budget - spent[left]) / where(rising, slope[left], 1), 0)
    return -jnp.minimum(corner[left] + extra, corner[-1])
