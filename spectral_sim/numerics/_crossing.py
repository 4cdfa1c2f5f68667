"""Where a non-decreasing function of a positive number reaches one, found whatever the function does in between."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Bool, Float
from .._where import where

__all__ = ["rounding_of_mean", "where_one"]

_SECANTS = 40  # after as many steps the bracket is halved at every one
_FAR = 0.3  # of the value from one: beyond it secants are drawn in logarithms


class _Search(NamedTuple):
    """The last two places looked at, with the value there less one, and the bracket of the answer."""

    here: Float[Array, ""]
    excess: Float[Array, ""]
    before: Float[Array, ""]
    excess_before: Float[Array, ""]
    bottom: Float[Array, ""]
    top: Float[Array, ""]


def rounding_of_mean(size: int, dtype) -> float:
    """How far from one a mean of `size` entries may be for its rounding alone."""
    return float(jnp.finfo(dtype).eps) * max(8.0, size**0.5 / 2)


def where_one(
    function: Callable[[Array], Array],
    start: Float[Array, ""],
    bottom: Float[Array, ""],
    top: Float[Array, ""],
    tolerance: float,
    wanted: Bool[Array, ""],
) -> Float[Array, ""]:
    """x with function(x) = 1 to `tolerance`, or to the rounding of x.

    Secant steps, kept inside a bracket. A step that would leave the bracket, or that follows two steps which have not
    halved the distance from one, halves the bracket instead (in the logarithm). So every three steps halve one or the
    other, and after a fixed number of steps only the bracket is halved: the search ends with an answer.

    A secant is exact where the function is linear. Far from one it is drawn in logarithms, since scores that span
    decades make a mean a power of x.

    In a batch every member waits for the slowest one, so the number of steps it takes is what counts.

    Arguments:
        function: continuous and non-decreasing, not negative; at most 1 at `bottom` and at least 1 at `top`.
        start: the first x to look at, positive.
        bottom: lower end of the bracket, positive.
        top: upper end of the bracket.
        tolerance: of the value.
        wanted: whether to look at all; `start` if not.
    """
    limits = jnp.finfo(start.dtype)
    most = _SECANTS + limits.bits + 8

    def step(carry):
        count, search, older, _ = carry
        proposed = _proposal(search, 3 * limits.eps)
        inside = (proposed > search.bottom) & (proposed < search.top)
        falling = (jnp.abs(search.excess) <= 0.5 * older) & (count < _SECANTS)
        x = where(inside & falling, proposed, _halfway(search, count))
        excess = function(x) - 1
        short = excess < 0
        bottom, top = where(short, x, search.bottom), where(short, search.top, x)
        live = (jnp.abs(excess) > tolerance) & (top - bottom > 4 * limits.eps * top) & (count < most)
        found = _Search(x, excess, search.here, search.excess, bottom, top)
        return count + 1, found, jnp.abs(search.excess_before), live

    excess, unknown = function(start) - 1, jnp.full_like(start, jnp.nan)
    short = excess < 0
    search = _Search(start, excess, unknown, unknown, where(short, start, bottom), where(short, top, start))
    live = (jnp.abs(excess) > tolerance) & wanted
    carry = jnp.zeros((), jnp.int32), search, jnp.full_like(start, jnp.inf), live
    return jax.lax.while_loop(lambda carry: carry[-1], step, carry)[1].here


def _proposal(search: _Search, least: Any) -> Array:
    """The next x by a secant, a relative step of at least `least`; as if the function were x itself at first."""
    x, before = search.here, search.before
    first = jnp.isnan(before)
    value, value_before = 1 + search.excess, 1 + search.excess_before
    plain = x - search.excess * (x - before) / (value - value_before)
    slope = (jnp.log(value) - jnp.log(value_before)) / (jnp.log(x) - jnp.log(before))
    logarithmic = x * jnp.exp(-jnp.log(value) / where(first, 1, slope))
    far = first | (jnp.abs(search.excess) > _FAR)
    moved = where(far, logarithmic, plain)
    # so small a step rather crosses over, which closes the bracket
    return where(search.excess < 0, jnp.maximum(moved, x * (1 + least)), jnp.minimum(moved, x * (1 - least)))


def _halfway(search: _Search, count: Array) -> Array:
    """The geometric middle of the bracket; at first not far from here, since its ends may be anywhere."""
    middle = jnp.sqrt(search.bottom) * jnp.sqrt(search.top)
    reach = jnp.exp2(jnp.exp2(count.astype(middle.dtype)))
    return jnp.clip(middle, search.here / reach, search.here * reach)
