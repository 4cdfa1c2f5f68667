"""Selecting a fraction of the mass by score; equal scores share what is left for them, in whatever order they come."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float
from .._where import where
from ._sums import total

__all__ = ["Rank", "lowest_mass", "mass_rank", "top_mass"]


class Rank(NamedTuple):
    """Where each entry stands in ascending order of score, in units of mass.

    Arguments:
        below: mass of the entries of lower score.
        tied: mass of the entries of the same score, its own included.
    """

    below: Float[Array, "weights"]
    tied: Float[Array, "weights"]


def mass_rank(score: Float[Array, "weights"], mass: Float[Array, "weights"]) -> Rank:
    """The rank of each entry by score."""
    order = jnp.argsort(score)
    score, mass = score[order], mass[order]
    upto = jnp.cumsum(mass)
    before = jnp.concatenate([jnp.zeros_like(upto[:1]), upto[:-1]])
    changes, end = score[1:] != score[:-1], jnp.ones(1, bool)
    below = jax.lax.cummax(where(jnp.concatenate([end, changes]), before, 0))
    last = jax.lax.cummin(where(jnp.concatenate([changes, end]), upto, jnp.inf), reverse=True)
    back = lambda values: jnp.zeros_like(mass).at[order].set(values)
    return Rank(back(below), back(last - below))


def lowest_mass(rank: Rank, fraction: Float[Array, ""]) -> Float[Array, "weights"]:
    """1 on the entries of lowest rank, the part of one on those at the border that makes their mass `fraction`.

    Differentiable in the fraction, through those at the border.
    """
    # a rank is a running sum of masses: where the border falls between two entries, rounding moves it to neither
    slack = 8 * jnp.finfo(rank.below.dtype).eps * rank.below.size**0.5 * fraction
    left = fraction - rank.below
    share = where(left >= rank.tied - slack, 1, left / where(rank.tied > 0, rank.tied, 1))
    return where(left > slack, share, 0).astype(rank.below.dtype)


def top_mass(
    score: Float[Array, "weights"], mass: Float[Array, "weights"], fraction: Float[Array, ""]
) -> Float[Array, "weights"]:
    """1 on the entries of highest score, the part of one on those of the lowest score kept that makes it `fraction`.

    The threshold is found by bisection on the bit pattern of non-negative floats, which orders as they do, until few
    entries are left that may be it, and among those from the largest on: no more passes than some for each bit, and no
    sort. Differentiable in the fraction and in the mass; on the score the result depends in steps.
    """
    limits = jnp.finfo(score.dtype)
    integer = jnp.dtype(f"int{limits.bits}")
    pattern = jax.lax.bitcast_convert_type(jnp.maximum(jax.lax.stop_gradient(score), 0), integer)
    wanted = fraction * jnp.sum(mass)
    threshold = _threshold(pattern, *jax.lax.stop_gradient((mass, wanted * (1 - 4 * limits.eps))))
    above, tied = total(mass, pattern > threshold), total(mass, pattern == threshold)
    share = where(wanted >= above + tied * (1 - 4 * limits.eps), 1, (wanted - above) / where(tied > 0, tied, 1))
    return where(pattern > threshold, 1, where(pattern == threshold, share, 0)).astype(score.dtype)


def _threshold(pattern: Array, mass: Array, enough: Array) -> Array:
    """The largest of the entries that is at most as large as entries of mass enough together."""

    def suffices(value):
        return total(mass, pattern >= value) >= enough

    def halve(bracket):
        low, high = bracket  # the mass from `low` on suffices, that from `high` on does not
        middle = low + (high - low) // 2
        reached = suffices(middle)
        return where(reached, middle, low), where(reached, high, middle)

    def look(carry):
        low, high, _ = carry
        largest = jnp.max(where(pattern < high, pattern, low))
        found = (largest <= low) | suffices(largest)
        lower, higher = halve((low, largest))
        return where(found, largest, lower), where(found, high, higher), ~found

    bracket = jnp.min(pattern), jnp.max(pattern) + 1
    few = min(pattern.shape[0].bit_length() + 4, jnp.iinfo(pattern.dtype).bits)  # halves, after which few are left
    low, high = jax.lax.fori_loop(0, few, lambda _, bracket: halve(bracket), bracket)
    return jax.lax.while_loop(lambda carry: carry[-1], look, (low, high, jnp.ones((), bool)))[0]
