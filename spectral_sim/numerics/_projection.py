"""Projection of a score onto the density ratios between two bounds."""

import jax
import jax.numpy as jnp

from .._types import Array, Float
from ._repeat import batch_max
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
    held = _total(mass, score > 0)
    reach, rest = high * held, jnp.sum(mass) - held
    left_over = reach + low * rest <= 1

    scale, value, slope = _scale(score, mass, low, high, ~left_over)
    scaled, rising = scale * score, slope > 0
    correction = jnp.where(rising, 1 - value / jnp.where(rising, scale * slope, 1), 1)  # 1 up to rounding
    active = (scaled > low) & (scaled < high)
    bounded = jnp.where(active, jnp.clip(correction * scaled, low, high), jnp.where(scaled >= high, high, low))

    share = jnp.clip((1 - reach) / jnp.where(rest > 0, rest, 1), low, high)
    return jnp.where(left_over, jnp.where(score > 0, high, share), bounded)


def _projected_jvp(primals, tangents):
    """dw = (w/s) ds + w dc/c where low < w < high, and dc from a mean that stays one.

    The same where entries of zero score share what is left: they are the active ones, and equal.
    """
    weights = _projected(*primals)
    score, mass, low, high = primals
    none = [isinstance(t, jax.custom_derivatives.SymbolicZero) for t in tangents]
    dots = [jnp.zeros_like(x) if no else t for x, t, no in zip(primals, tangents, none, strict=True)]
    score_dot, mass_dot, low_dot, high_dot = dots
    above, active = weights >= high, (weights > low) & (weights < high)
    ratio = weights / jnp.where(active & (score > 0), score, jnp.inf)
    change = ratio * score_dot + jnp.where(active, 0, jnp.where(above, high_dot, low_dot))
    movable = jnp.where(active, weights, 0)
    total = _total(mass, movable)
    gained = _total(mass, change)
    if not none[1]:
        gained = gained + _total(mass_dot, weights)
    return weights, change - movable * (gained / jnp.where(total > 0, total, 1))


_projected.defjvp(_projected_jvp, symbolic_zeros=True)


def _total(mass: Array, values: Array) -> Array:
    """sum(mass * values), as a product with the whole batch of values: half the time of a sum."""
    return jnp.dot(values.astype(mass.dtype), mass, precision=jax.lax.Precision.HIGHEST)


def _scale(score: Array, mass: Array, low: Array, high: Array, wanted: Array) -> tuple[Array, Array, Array]:
    """The c with sum(mass * clip(c score, low, high)) = 1, by Newton steps kept inside a bracket.

    The mean is piecewise linear and non-decreasing in c, so a Newton step is exact once the active set is right. Far
    from there the step is taken in the logarithms of c and of the mean, since scores that span decades make the mean a
    power of c and plain steps would take in a few entries at a time. Where no entry is active the mean is flat: on to
    the next c at which one is. A step that leaves the bracket is replaced by the bracket's geometric middle.

    In a batch every member waits for the slowest one, so the number of steps it takes is what counts.

    Returns:
        c, the mean there less one, and its slope in c.
    """
    limits = jnp.finfo(score.dtype)
    tolerance, nudge = 8 * limits.eps, 1 + 4 * limits.eps

    def excess(scale):
        scaled = scale * score
        slope = _total(mass, jnp.where((scaled > low) & (scaled < high), score, 0))
        return _total(mass, jnp.clip(scaled, low, high)) - 1, slope

    def look(carry):
        """The next c with an active entry, and the bracket that the scores allow."""
        scale, short, bottom, top = carry
        scaled, positive = scale * score, score > 0
        waiting = jnp.where(short, jnp.where(scaled <= low, -score, 0), jnp.where(scaled >= high, score, jnp.inf))
        edge = jnp.min(waiting)
        smallest = jnp.min(jnp.where(positive, score, jnp.inf))
        bottom = jnp.maximum(bottom, low / jnp.max(score))
        top = jnp.minimum(top, high / smallest)
        return jnp.where(short, low / -edge * nudge, high / edge / nudge), bottom, top

    def step(carry):
        iteration, scale, bottom, top, value, slope, live = carry
        short, rising = value < 0, slope > 0
        bottom, top = jnp.where(short, scale, bottom), jnp.where(short, top, scale)
        safe = jnp.where(rising, slope, 1)
        plain = scale - value / safe
        logarithmic = scale * jnp.exp(-jnp.log1p(value) * (1 + value) / (scale * safe))
        moved = jnp.where(jnp.abs(value) > _FAR, logarithmic, plain)
        astray = ~rising | (moved <= bottom) | (moved >= top)
        # seldom any member of a batch: then the passes over the scores that this takes are left out
        seen = scale, short, bottom, top
        edge, bottom, top = jax.lax.cond(batch_max(live & astray), look, lambda seen: (seen[0], *seen[2:]), seen)
        moved = jnp.where(rising, moved, edge)
        moved = jnp.where((moved > bottom) & (moved < top), moved, jnp.sqrt(bottom) * jnp.sqrt(top))
        value, slope = excess(moved)
        live = (
            (iteration < _MAX_ITERATIONS - 1)
            & (jnp.abs(value) > tolerance)
            & (top > bottom * nudge)
            & (jnp.abs(moved - scale) > 2 * limits.eps * scale)  # rounding of the mean may exceed the tolerance
        )
        return iteration + 1, moved, bottom, top, value, slope, live

    start = jnp.ones((), score.dtype)
    value, slope = excess(start)
    bracket = limits.tiny * start, limits.max * start
    carry = 0, start, *bracket, value, slope, (jnp.abs(value) > tolerance) & wanted
    _, scale, _, _, value, slope, _ = jax.lax.while_loop(lambda carry: carry[-1], step, carry)
    return scale, value, slope
