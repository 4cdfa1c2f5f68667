"""Selecting a fraction of the mass by score; equal scores share what is left for them, in whatever order they come."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float, PerWeight
from .._where import where
from ._sums import total

_MORE_HALVES = 2  # than would leave one of so many entries, were they spread evenly


class Rank(NamedTuple):
    """Where each entry stands in ascending order of score, in units of mass.

    Arguments:
        below: mass of the entries of lower score.
        tied: mass of the entries of the same score, its own included.
    """

    below: PerWeight
    tied: PerWeight


def mass_rank(score: PerWeight, mass: PerWeight) -> Rank:
    """Rank the entries by score.

    Arguments:
        score: non-negative, shape (weights,).
        mass: p, sums to one.
    """
    order = jnp.argsort(score)
    score, mass = score[order], mass[order]
    upto = jnp.cumsum(mass)
    before = jnp.concatenate([jnp.zeros_like(upto[:1]), upto[:-1]])
    changes, end = score[1:] != score[:-1], jnp.ones(1, bool)
    below = jax.lax.cummax(where(jnp.concatenate([end, changes]), before, 0))
    last = jax.lax.cummin(where(jnp.concatenate([changes, end]), upto, jnp.inf), reverse=True)
    back = lambda values: jnp.zeros_like(mass).at[order].set(values)
    return Rank(back(below), back(last - below))


def lowest_mass(rank: Rank, fraction: Float[Array, ""]) -> PerWeight:
    """Mark the entries of lowest rank that hold a fraction of the mass: 1 for those, a part of one at the border.

    Differentiable in the fraction, through those at the border.

    Arguments:
        rank: of the entries by mass, from `mass_rank`.
        fraction: of the mass, scalar in [0, 1].
    """
    # a rank is a running sum of masses: where the border falls between two entries, rounding moves it to neither
    slack = 8 * jnp.finfo(rank.below.dtype).eps * rank.below.size**0.5 * fraction
    left = fraction - rank.below
    share = where(left >= rank.tied - slack, 1, left / where(rank.tied > 0, rank.tied, 1))
    return where(left > slack, share, 0).astype(rank.below.dtype)


def top_mass(score: PerWeight, mass: PerWeight, fraction: Float[Array, ""]) -> PerWeight:
    """Mark the entries of highest score that hold a fraction of the mass: 1 for those, a part for the last of them.

    The threshold is found by bisection on the bit pattern of non-negative floats, which orders as they do, until few
    entries are left that may be it, and among those from the largest on: no more passes than some for each bit, and no
    sort. Differentiable in the fraction and in the mass; on the score the result depends in steps.

    Arguments:
        score: non-negative, shape (weights,).
        mass: p, sums to one.
        fraction: of the mass, in (0, 1].
    """
    slack = 1 - 4 * jnp.finfo(score.dtype).eps
    wanted = fraction * jnp.sum(mass)
    threshold = _threshold(*jax.lax.stop_gradient((score, mass, wanted * slack)))
    higher, equal = score > threshold, score == threshold
    above, tied = total(mass, higher), total(mass, equal)
    share = where(wanted >= above + tied * slack, 1, (wanted - above) / where(tied > 0, tied, 1))
    return where(higher, 1, where(equal, share, 0)).astype(score.dtype)


def _threshold(score: Array, mass: Array, enough: Array) -> Array:
    """The largest of the entries that is at most as large as entries of mass enough together."""
    integer = jnp.dtype(f"int{jnp.finfo(score.dtype).bits}")
    pattern = lambda value: jax.lax.bitcast_convert_type(jnp.maximum(value, 0), integer)
    number = lambda pattern: jax.lax.bitcast_convert_type(pattern, score.dtype)

    def suffices(value):
        return total(mass, score >= number(value)) >= enough

    def halve(bracket):
        low, high = bracket  # the mass from `low` on suffices, that from `high` on does not
        middle = low + (high - low) // 2
        reached = suffices(middle)
        return where(reached, middle, low), where(reached, high, middle)

    def look(carry):
        low, high, _ = carry
        largest = pattern(jnp.max(where(score <= number(high - 1), score, number(low))))
        found = (largest <= low) | suffices(largest)
        lower, higher = halve((low, largest))
        return where(found, largest, lower), where(found, high, higher), ~found

    bracket = pattern(jnp.min(score)), pattern(jnp.max(score)) + 1
    few = min(score.shape[0].bit_length() + _MORE_HALVES, jnp.iinfo(integer).bits)  # after which few entries are left
    low, high = jax.lax.fori_loop(0, few, lambda _, bracket: halve(bracket), bracket)
    return number(jax.lax.while_loop(lambda carry: carry[-1], look, (low, high, jnp.ones((), bool)))[0])
