"""Where a monotonic function crosses a value, found whatever it does in between: on the host, and inside jit."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Bool, Float
from .._where import where

_TANGENTS = 40  # after as many steps the bracket is halved at every one
_FAR = 0.3  # of the value from one: beyond it tangents are drawn in logarithms


def bisect(
    left: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray, steps: int = 60, *, ends: bool = False
) -> Any:
    """Find where `left` turns from true at `low` to false at `high`, entry by entry.

    Arguments:
        left: true on the side of `low`, false on that of `high`.
        low, high: ends of the bracket, one for each entry.
        steps: halvings.
        ends: return the last bracket and not its middle.
    """
    for _ in range(steps):
        middle = (low + high) / 2
        true = left(middle)
        low, high = np.where(true, middle, low), np.where(true, high, middle)
    return (low, high) if ends else (low + high) / 2


class Crossing(NamedTuple):
    """Where a search has ended: x, the value there less one, and the slope there."""

    x: Float[Array, ""]
    excess: Float[Array, ""]
    slope: Float[Array, ""]


class _Search(NamedTuple):
    """The last place looked at, and the bracket of the answer."""

    here: Crossing
    bottom: Float[Array, ""]
    top: Float[Array, ""]


def rounding_of_mean(size: int, dtype: Any) -> float:
    """Bound how far from one a mean of `size` entries may be for its rounding alone.

    Arguments:
        size: number of entries.
        dtype: of the entries.
    """
    return float(jnp.finfo(dtype).eps) * max(8.0, size**0.5 / 2)


def where_one(
    function: Callable[[Array], tuple[Array, Array]],
    start: Float[Array, ""],
    bottom: Float[Array, ""],
    top: Float[Array, ""],
    tolerance: float,
    wanted: Bool[Array, ""],
) -> Crossing:
    """Find the x with function(x) = 1 to `tolerance`, or to the rounding of x.

    Newton's steps, kept inside a bracket. A step that would leave the bracket, or that follows one which has not halved
    the distance from one, halves the bracket instead (in the logarithm). So every two steps halve one or the other, and
    after a fixed number of steps only the bracket is halved: the search ends with an answer.

    A step is exact where the function is linear. Far from one it is taken in logarithms, since scores that span decades
    make a mean a power of x.

    In a batch every member waits for the slowest one, so the number of steps it takes is what counts.

    Arguments:
        function: x -> (value, slope); continuous and non-decreasing, not negative; at most 1 at `bottom` and at
            least 1 at `top`.
        start: the first x to look at, positive.
        bottom: lower end of the bracket, positive.
        top: upper end of the bracket.
        tolerance: of the value.
        wanted: whether to search; the place is `start` if not.
    """
    limits = jnp.finfo(start.dtype)
    most = _TANGENTS + limits.bits + 8

    def look(x):
        value, slope = function(x)
        return Crossing(x, value - 1, slope)

    def step(carry):
        count, (here, bottom, top), before, _ = carry
        proposed = _proposal(here, 3 * limits.eps)
        inside = (proposed > bottom) & (proposed < top)
        falling = (jnp.abs(here.excess) <= 0.5 * before) & (count < _TANGENTS)
        found = look(where(inside & falling, proposed, _halfway(here.x, bottom, top, count)))
        short = found.excess < 0
        bottom, top = where(short, found.x, bottom), where(short, top, found.x)
        live = (jnp.abs(found.excess) > tolerance) & (top - bottom > 4 * limits.eps * top) & (count < most)
        return count + 1, _Search(found, bottom, top), jnp.abs(here.excess), live

    found = look(start)
    short = found.excess < 0
    search = _Search(found, where(short, start, bottom), where(short, top, start))
    live = (jnp.abs(found.excess) > tolerance) & wanted
    carry = jnp.zeros((), jnp.int32), search, jnp.full_like(start, jnp.inf), live
    return jax.lax.while_loop(lambda carry: carry[-1], step, carry)[1].here


def _proposal(here: Crossing, least: Any) -> Array:
    """The next x by a tangent, a relative step of at least `least`."""
    x, value = here.x, 1 + here.excess
    plain = x - here.excess / here.slope
    logarithmic = x * jnp.exp(-jnp.log(value) * value / (x * here.slope))
    moved = where(jnp.abs(here.excess) > _FAR, logarithmic, plain)
    # so small a step rather crosses over, which closes the bracket
    return where(here.excess < 0, jnp.maximum(moved, x * (1 + least)), jnp.minimum(moved, x * (1 - least)))


def _halfway(here: Array, bottom: Array, top: Array, count: Array) -> Array:
    """The geometric middle of the bracket; at first not far from here, since its ends may be anywhere."""
    middle = jnp.sqrt(bottom) * jnp.sqrt(top)
    reach = jnp.exp2(jnp.exp2(count.astype(middle.dtype)))
    return jnp.clip(middle, here / reach, here * reach)
