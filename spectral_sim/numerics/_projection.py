"""Projection of a score onto the density ratios between two bounds."""

import jax
import jax.numpy as jnp

from .._types import Array, Float
from ._scores import mean_one

__all__ = ["project_to_bounds"]

_MAX_ITERATIONS = 64


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

    The mean is piecewise linear and non-decreasing in c, so a Newton step is exact once the active set is right; a
    step that leaves the bracket is replaced by the bracket's geometric middle.
    """
    limits = jnp.finfo(score.dtype)
    smallest = jnp.min(jnp.where(score > 0, score, jnp.inf))
    bottom = jnp.clip(low / jnp.max(score), limits.tiny)
    top = jnp.clip(high / smallest, limits.tiny, limits.max)
    tolerance = 8 * limits.eps

    def excess(scale):
        scaled = scale * score
        active = (scaled > low) & (scaled < high)
        slope = jnp.sum(jnp.where(active, mass * score, 0))
        return jnp.sum(mass * jnp.clip(scaled, low, high)) - 1, slope

    def unsettled(carry):
        iteration, _, bottom, top, value, _ = carry
        return (iteration < _MAX_ITERATIONS) & (jnp.abs(value) > tolerance) & (top > bottom * (1 + limits.eps))

    def step(carry):
        iteration, scale, bottom, top, value, slope = carry
        bottom, top = jnp.where(value < 0, scale, bottom), jnp.where(value > 0, scale, top)
        newton = scale - value / jnp.where(slope > 0, slope, 1)
        inside = (slope > 0) & (newton > bottom) & (newton < top)
        scale = jnp.where(inside, newton, jnp.sqrt(bottom) * jnp.sqrt(top))
        return iteration + 1, scale, bottom, top, *excess(scale)

    start = jnp.clip(jnp.ones_like(bottom), bottom, top)
    return jax.lax.while_loop(unsettled, step, (0, start, bottom, top, *excess(start)))[1]
