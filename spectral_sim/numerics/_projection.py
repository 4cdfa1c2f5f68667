"""Projection of a score onto the density ratios between two bounds."""

import jax
import jax.numpy as jnp

from .._types import Array, Float, PerWeight
from .._where import where
from ._crossing import Crossing, rounding_of_mean, where_one
from ._scores import mean_one
from ._sums import total


def project_to_bounds(
    score: PerWeight,
    mass: PerWeight,
    low: Float[Array, ""],
    high: Float[Array, ""],
) -> PerWeight:
    """Scale a score and clip it between two bounds, so that its mean is one: clip(c s, low, high) with the c for that.

    Where even the cap on every positive entry leaves mass over, entries of zero score share it. The search for c runs
    without derivatives; one closed-form step on the active set {low < c s < high} gives its last digits.

    Arguments:
        score: s, non-negative.
        mass: p, sums to one.
        low: lower bound, in [0, 1].
        high: upper bound, at least 1.

    Returns:
        Weights of mean one between the bounds.
    """
    return _projected(mean_one(score, mass), mass, low, high)


@jax.custom_jvp
def _projected(score: Array, mass: Array, low: Array, high: Array) -> Array:
    """The projection of a score of mean one."""
    # so small a score reaches the cap at no scale that the dtype holds: it counts as zero
    score = where(score < 8 * jnp.finfo(score.dtype).tiny * high, 0, score)
    held = total(mass, score > 0)
    reach, rest = high * held, jnp.sum(mass) - held
    left_over = reach + low * rest <= 1

    found = _scale(score, mass, low, high, ~left_over)
    scaled, free = found.x * score, found.x * found.slope
    active = (scaled > low) & (scaled < high)
    # the active entries take what the others leave: 1 up to rounding, of the others too where little is active
    correction = jnp.clip(1 - found.excess / where(free > 0, free, 1), 0.5, 2)
    settled = where(scaled >= high, high, low)
    bounded = where(active, jnp.clip(correction * scaled, low, high), settled)

    share = jnp.minimum((1 - reach) / where(rest > 0, rest, 1), high)
    share = where(share > low, share, low)  # not a maximum, which makes zero of a subnormal bound
    return where(left_over, where(score > 0, high, share), bounded)


def _projected_jvp(primals, tangents):
    """The derivative: dw = (w/s) ds + w dc/c where low < w < high; dc follows from a mean that stays one.

    The same where entries of zero score share what is left: they are the active ones, and equal.
    """
    weights = _projected(*primals)
    score, mass, low, high = primals
    none = [isinstance(t, jax.custom_derivatives.SymbolicZero) for t in tangents]
    dots = [jnp.zeros_like(x) if no else t for x, t, no in zip(primals, tangents, none, strict=True)]
    score_dot, mass_dot, low_dot, high_dot = dots
    above, active = weights >= high, (weights > low) & (weights < high)
    ratio = weights / where(active & (score > 0), score, jnp.inf)
    change = ratio * score_dot + where(active, 0, where(above, high_dot, low_dot))
    movable = where(active, weights, 0)
    moved = total(mass, movable)
    gained = jnp.sum(mass * change)  # not by pieces; see `total`
    if not none[1]:
        gained = gained + jnp.sum(mass_dot * weights)
    return weights, change - movable * (gained / where(moved > 0, moved, 1))


_projected.defjvp(_projected_jvp, symbolic_zeros=True)


def _scale(score: Array, mass: Array, low: Array, high: Array, wanted: Array) -> Crossing:
    """The c with sum(mass * clip(c score, low, high)) = 1, as near as the mean can be known."""
    tiny = jnp.finfo(score.dtype).tiny

    def mean(scale):
        scaled = scale * score
        active = (scaled > low) & (scaled < high)
        return total(mass, jnp.clip(scaled, low, high)), total(mass, where(active, score, 0))

    return where_one(
        mean,
        start=jnp.ones((), score.dtype),
        bottom=jnp.full((), tiny, score.dtype),
        top=jnp.full((), 1 / (4 * tiny), score.dtype),
        tolerance=rounding_of_mean(score.shape[0], score.dtype),
        wanted=wanted,
    )
