"""Projection of a score onto the density ratios between two bounds."""

import jax
import jax.numpy as jnp

from .._types import Array, Float
from ._scores import mean_one

__all__ = ["project_to_bounds"]

_MAX_ITERATIONS = 64
_FAR = 0.3  # of the mean from one: beyond it steps are taken in logarithms


def project_to_bounds(
    score: Float[Array, "weights"],
    mass: Float[Array, "weights"],
    low: Float[Array, ""],
    high: Float[Array, ""],
) -> Float[Array, "weights"]:
    """clip(c s, low, high) with the c that makes the mean one.

    Where even the cap on every positive entry leaves mass over, entries of zero score share it. The search for c runs
    without derivatives; one closed-form step on the active set {low < c s < high} then gives both the last digits and
    the exact gradient.

    Arguments:
        score: s, non-negative.
        mass: p, sums to one.
        low: lower bound, in [0, 1].
        high: upper bound, at least 1.

    Returns:
        Weights of mean one between the bounds.
    """
    score = mean_one(score, mass)
    frozen = jax.lax.stop_gradient((score, mass, low, high))
    scaled = _scale(*frozen) * score
    active = (scaled > low) & (scaled < high)
    above = scaled >= high
    mass_active = jnp.sum(jnp.where(active, mass * scaled, 0))
    fixed = jnp.sum(jnp.where(active, 0, mass * jnp.where(above, high, low)))
    has_active = mass_active > 0
    correction = jnp.where(has_active, (1 - fixed) / jnp.where(has_active, mass_active, 1), 1)  # 1 up to rounding
    bounded = jnp.where(active, jnp.clip(correction * scaled, low, high), jnp.where(above, high, low))

    positive = score > 0
    reach = high * jnp.sum(jnp.where(positive, mass, 0))
    rest = jnp.sum(jnp.where(positive, 0, mass))
    left_over = reach + low * rest <= 1
    share = jnp.clip((1 - reach) / jnp.where(rest > 0, rest, 1), low, high)
    return jnp.where(left_over, jnp.where(positive, high, share), bounded)


def _scale(score: Array, mass: Array, low: Array, high: Array) -> Array:
    """The c with sum(mass * clip(c score, low, high)) = 1, by Newton steps kept inside a bracket.

    The mean is piecewise linear and non-decreasing in c, so a Newton step is exact once the active set is right. Far
    from there the step is taken in the logarithms of c and of the mean, since scores that span decades make the mean a
    power of c and plain steps would take in a few entries at a time. Where no entry is active the mean is flat: on to
    the next c at which one is. A step that leaves the bracket is replaced by the bracket's geometric middle.

    In a batch every member waits for the slowest one, so the number of steps it takes is what counts.
    """
    limits = jnp.finfo(score.dtype)
    smallest = jnp.min(jnp.where(score > 0, score, jnp.inf))
    bottom = jnp.clip(low / jnp.max(score), limits.tiny)
    top = jnp.clip(high / smallest, limits.tiny, limits.max)
    tolerance, nudge = 8 * limits.eps, 1 + 4 * limits.eps
    drive = mass * score

    def excess(scale):
        scaled = scale * score
        slope = jnp.sum(jnp.where((scaled > low) & (scaled < high), drive, 0))
        return jnp.sum(mass * jnp.clip(scaled, low, high)) - 1, slope

    def step(carry):
        iteration, scale, bottom, top, value, slope, _ = carry
        short = value < 0
        bottom, top = jnp.where(short, scale, bottom), jnp.where(short, top, scale)
        rising = slope > 0
        safe = jnp.where(rising, slope, 1)
        plain = scale - value / safe
        logarithmic = scale * jnp.exp(-jnp.log1p(value) * (1 + value) / (scale * safe))
        scaled = scale * score
        waiting = jnp.where(short, jnp.where(scaled <= low, -score, 0), jnp.where(scaled >= high, score, jnp.inf))
        edge = jnp.min(waiting)
        jump = jnp.where(short, low / -edge * nudge, high / edge / nudge)
        moved = jnp.where(rising, jnp.where(jnp.abs(value) > _FAR, logarithmic, plain), jump)
        moved = jnp.where((moved > bottom) & (moved < top), moved, jnp.sqrt(bottom) * jnp.sqrt(top))
        value, slope = excess(moved)
        unsettled = (
            (iteration < _MAX_ITERATIONS - 1)
            & (jnp.abs(value) > tolerance)
            & (top > bottom * nudge)
            & (jnp.abs(moved - scale) > 2 * limits.eps * scale)  # rounding of the mean may exceed the tolerance
        )
        return iteration + 1, moved, bottom, top, value, slope, unsettled

    start = jnp.clip(jnp.ones_like(bottom), bottom, top)
    value, slope = excess(start)
    positive = score > 0
    enough = jnp.sum(mass * jnp.where(positive, high, low)) > 1  # else no c will do, and the caller fills up
    unsettled = (jnp.abs(value) > tolerance) & enough
    carry = 0, start, bottom, top, value, slope, unsettled
    return jax.lax.while_loop(lambda carry: carry[-1], step, carry)[1]
