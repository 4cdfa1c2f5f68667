"""Small operations on non-negative scores that must not overflow, underflow or lose their gradient."""

import jax.numpy as jnp

from .._types import Array, Float
from ._guard import without_derivative

__all__ = ["log_or_minus_inf", "mean_one", "relative_log", "score_of"]


def log_or_minus_inf(score: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """Logarithm; minus infinity at zero and for subnormal numbers, whose gradient would overflow."""
    positive = score >= jnp.finfo(score.dtype).tiny
    return jnp.where(positive, jnp.log(jnp.where(positive, score, 1)), -jnp.inf)


def relative_log(score: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """log(score / max score): at most 0, minus infinity where the score is zero, all 0 where every score is."""
    top = jnp.max(score)
    return jnp.where(top == 0, 0.0, log_or_minus_inf(score / jnp.where(top == 0, 1, top)))


def mean_one(score: Float[Array, "weights"], mass: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """Scale a non-negative score to mean one under `mass`; a score that is zero everywhere means uniform."""
    mean = jnp.sum(mass * score)
    nothing = mean == 0
    return jnp.where(nothing, 1.0, score / jnp.where(nothing, 1, mean))


def score_of(log_score: Float[Array, "weights"]) -> Float[Array, "weights"]:
    """exp(log_score) up to a factor, the largest entry 1.

    The factor is a constant to derivatives: weights do not depend on the scale of a score, and the derivative of a
    maximum costs as much as all the rest.
    """
    return jnp.exp(log_score - without_derivative(jnp.max(log_score)))
