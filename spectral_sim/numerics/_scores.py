"""Small operations on non-negative scores that must not overflow, underflow or lose their gradient."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from .._types import Array, Float, PerWeight
from .._where import where
from ._exponential import log_or_minus_inf
from ._guard import without_derivative
from ._repeat import batch_max
from ._segmented import SCALAR
from ._sums import total


def relative_log(score: PerWeight) -> PerWeight:
    """Compute log(score / max score): at most 0, minus infinity where the score is zero, all 0 where every score is.

    Arguments:
        score: non-negative, shape (weights,).
    """
    top = jnp.max(score)
    return where(top == 0, 0.0, log_or_minus_inf(score / where(top == 0, 1, top)))


def power_score(log_score: PerWeight, power: Float[Array, ""]) -> PerWeight:
    """Compute (score / max score)^power; zero, at any power, where the score over its maximum is zero or subnormal.

    The maximum is a constant to derivatives, as in `score_of`.

    Arguments:
        log_score: logarithm of the score, shape (weights,); -inf for zero.
        power: scalar.
    """
    top = checkpoint_name(without_derivative(jnp.max(log_score)), SCALAR)
    nothing = jnp.isneginf(top)
    return _power(log_score, where(nothing, 0, top), power, where(nothing, 0, -jnp.inf))


@jax.custom_jvp
def _power(log_score: Array, top: Array, power: Array, unseen: Array) -> Array:
    """exp(power (log_score - top)), exp(unseen) from the depth of the smallest number on.

    The exponential comes last: the compiler computes it once, and what is done to it later with every use.
    """
    depth = log_score - top
    return jnp.exp(where(depth > _lowest(depth), power * depth, unseen))


@_power.defjvp
def _power_jvp(primals, tangents):
    log_score, top, power, _ = primals
    depth = log_score - top
    seen = depth > _lowest(depth)
    change = power * tangents[0] + where(seen, depth, 0) * tangents[2]
    value = _power(*primals)
    return value, value * where(seen, change, 0)


def _lowest(depth: Array) -> float:
    return math.log(jnp.finfo(depth.dtype).tiny)


def unit_of(score: PerWeight) -> Float[Array, ""]:
    """A unit in which products of a score with a mass neither overflow nor underflow; a constant to derivatives.

    A power of two, so that nothing is rounded by it, near the largest entry: at least half of it and at most the sum of
    all, as far as that does not overflow. Minus infinity where an entry is negative, NaN where one is, 0 where all are.

    Arguments:
        score: shape (weights,).
    """
    limits = jnp.finfo(score.dtype)
    seen = where(score < 0, -jnp.inf, jnp.minimum(score, limits.max / (4 * score.shape[0])))
    size = total(jnp.ones_like(score), seen)
    exponent = (1 << (limits.bits - 1)) - (1 << limits.nmant)  # the bits of a number without sign and mantissa
    integer = jnp.dtype(f"int{limits.bits}")
    power = jax.lax.bitcast_convert_type(size, integer) & jnp.asarray(exponent, integer)
    power = jax.lax.bitcast_convert_type(power, score.dtype)
    return without_derivative(where(jnp.isfinite(size), power, size))


def scaled_mean(
    score: PerWeight, mass: PerWeight, *, massless: bool = True
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """A unit (see `unit_of`) and the mean of the score in that unit.

    The unit is 1 where the mean is so large that products which underflow do not show in it, as it almost always is.
    Another one takes two more passes, and is looked for only if some member of a batch needs it.

    Arguments:
        score: non-negative; where it is not, the unit says so.
        mass: p, sums to one.
        massless: whether entries without mass count for the unit.
    """
    unit, mean = _scaled_mean(score, mass, massless)
    return checkpoint_name(unit, SCALAR), checkpoint_name(mean, SCALAR)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _scaled_mean(score: Array, mass: Array, massless: bool) -> tuple[Array, Array]:
    limits = jnp.finfo(score.dtype)
    plain = total(mass, where(score < 0, -jnp.inf, score))
    fine = (plain > score.shape[0] * limits.tiny / limits.eps) & (plain < jnp.inf)

    def in_unit():
        unit = unit_of(score if massless else where(mass > 0, score, 0))
        return unit, total(mass, score / where(unit == 0, 1, unit))

    needed = batch_max((~fine).astype(jnp.int32)) > 0
    unit, mean = jax.lax.cond(needed, in_unit, lambda: (jnp.ones_like(plain), plain))
    return where(fine, 1, unit), where(fine, plain, mean)


def _scaled_mean_jvp(massless, primals, tangents):
    """The unit is a constant, and the mean is linear in each of the two."""
    unit, mean = _scaled_mean(*primals, massless)
    inverse = 1 / where(unit == 0, 1, unit)
    change = jnp.zeros_like(mean)
    for (score, mass), still in (
        ((tangents[0], primals[1]), tangents[0]),
        ((primals[0], tangents[1]), tangents[1]),
    ):
        if not isinstance(still, jax.custom_derivatives.SymbolicZero):
            change = change + jnp.sum(mass * (inverse * score))  # not by pieces; see `total`
    return (unit, mean), (jnp.zeros_like(unit), change)


_scaled_mean.defjvp(_scaled_mean_jvp, symbolic_zeros=True)


def mean_one(score: PerWeight, mass: PerWeight) -> PerWeight:
    """Scale a non-negative score to mean one under `mass`; a score that is zero everywhere means uniform.

    Arguments:
        score: non-negative, shape (weights,).
        mass: p, sums to one.
    """
    unit, mean = scaled_mean(score, mass, massless=False)
    nothing = mean == 0
    scale = 1 / where(nothing, 1, mean)
    return where(nothing, 1.0, score * (1 / where(unit == 0, 1, unit)) * scale)


def score_of(log_score: PerWeight) -> PerWeight:
    """Compute exp(log_score) up to a factor, the largest entry 1.

    The factor is a constant to derivatives: weights do not depend on the scale of a score, and the derivative of a
    maximum costs as much as all the rest.

    Arguments:
        log_score: shape (weights,), minus infinity for a score of zero.
    """
    return jnp.exp(log_score - checkpoint_name(without_derivative(jnp.max(log_score)), SCALAR))
