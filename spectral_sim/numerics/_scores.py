"""Small operations on non-negative scores that must not overflow, underflow or lose their gradient."""

import jax
import jax.numpy as jnp

from .._types import Array, Float
from ._guard import without_derivative
from ._sums import total

__all__ = ["log_or_minus_inf", "mean_one", "relative_log", "score_of", "unit_of"]


def log_or_minus_inf(score: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """Logarithm; minus infinity at zero and for subnormal numbers, whose gradient would overflow."""
    positive = score >= jnp.finfo(score.dtype).tiny
    return jnp.where(positive, jnp.log(jnp.where(positive, score, 1)), -jnp.inf)


def relative_log(score: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """log(score / max score): at most 0, minus infinity where the score is zero, all 0 where every score is."""
    top = jnp.max(score)
    return jnp.where(top == 0, 0.0, log_or_minus_inf(score / jnp.where(top == 0, 1, top)))


def unit_of(score: Float[Array, "weights"]) -> Float[Array, ""]:
    """A unit in which products of a score with a mass neither overflow nor underflow; a constant to derivatives.

    A power of two, so that nothing is rounded by it, near the largest entry: at least half of it and at most the sum of
    all, as far as that does not overflow. Minus infinity where an entry is negative, NaN where one is, 0 where all are.
    """
    limits = jnp.finfo(score.dtype)
    seen = jnp.where(score < 0, -jnp.inf, jnp.minimum(score, limits.max / (4 * score.shape[0])))
    size = total(jnp.ones_like(score), seen)
    exponent = (1 << (limits.bits - 1)) - (1 << limits.nmant)  # the bits of a number without sign and mantissa
    integer = jnp.dtype(f"int{limits.bits}")
    power = jax.lax.bitcast_convert_type(size, integer) & jnp.asarray(exponent, integer)
    power = jax.lax.bitcast_convert_type(power, score.dtype)
    return without_derivative(jnp.where(jnp.isfinite(size), power, size))


def mean_one(score: Float[Array, "weights"], mass: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """Scale a non-negative score to mean one under `mass`; a score that is zero everywhere means uniform."""
    unit = unit_of(jnp.where(mass > 0, score, 0))
    score = score / jnp.where(unit == 0, 1, unit)
    mean = total(mass, score)
    nothing = mean == 0
    return jnp.where(nothing, 1.0, score / jnp.where(nothing, 1, mean))


def score_of(log_score: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """exp(log_score) up to a factor, the largest entry 1.

    The factor is a constant to derivatives: weights do not depend on the scale of a score, and the derivative of a
    maximum costs as much as all the rest.
    """
    return jnp.exp(log_score - without_derivative(jnp.max(log_score)))
