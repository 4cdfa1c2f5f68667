"""Exponentials and logarithms of whole arrays, in the form that compiles to the least work."""

import math
from decimal import Decimal
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Float
from .._where import where


class _Format(NamedTuple):
    """What is needed to know of a floating-point type."""

    integer: Any
    mantissa: int  # bits
    bias: int
    high: float  # log 2 but for `low`, in so few digits that any n times it is exact
    low: float
    coefficients: tuple[float, ...]  # of (exp(r) - 1 - r) / r^2 in powers of r, the highest first


def exponential(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute exp(x) to one unit of rounding; 0 where subnormal, infinite a third of an e-fold before its limit.

    On CPUs it takes two thirds of the time of the compiler's own, which looks after subnormal numbers. Where the result
    is used several times the compiler may compute it several times, as it does with sums and products. With n whole
    and |r| <= log(2) / 2, x = n log 2 + r and exp(x) = 2^n exp(r), by a polynomial. Types other than float32 and
    float64 are left to the compiler.

    Arguments:
        x: any shape.
    """
    return _exponential(x) if jnp.dtype(x.dtype) in _FORMATS else jnp.exp(x)


@jax.custom_jvp
def log_or_minus_inf(score: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithm; minus infinity, without derivative, at zero and for what is subnormal, negative or no number.

    The compiler takes it for what it undoes, up to jax 0.10: of the logarithm of an exponential neither is computed.

    Arguments:
        score: any shape; non-negative where a number is wanted.
    """
    logarithm, limits = jnp.log(score), jnp.finfo(score.dtype)
    return where(logarithm >= math.log(limits.tiny) * (1 + 4 * limits.eps), logarithm, -jnp.inf)


@log_or_minus_inf.defjvp
def _log_jvp(primals, tangents):
    (score,), (change,) = primals, tangents
    positive = score >= jnp.finfo(score.dtype).tiny
    return log_or_minus_inf(score), where(positive, change / where(positive, score, 1), 0)


@jax.custom_jvp
def _exponential(x):
    known = _FORMATS[jnp.dtype(x.dtype)]
    # comparisons that let what is no number through, which takes a minimum or a maximum two steps more
    least, most = -known.bias * math.log(2), (known.bias + 1) * math.log(2)
    x = where(x < least, least, x)
    x = where(x > most, most, x)
    count = jnp.round(x * (1 / math.log(2)))
    rest = (x - count * known.high) - count * known.low
    value: Any = known.coefficients[0]
    for each in (*known.coefficients[1:], 1, 1):
        value = value * rest + each
    # added to so large a number, a whole one stands in its last bits
    bits = jax.lax.bitcast_convert_type(count + (1.5 * 2.0**known.mantissa + known.bias), known.integer)
    return value * jax.lax.bitcast_convert_type(bits << known.mantissa, x.dtype)


@_exponential.defjvp
def _exponential_jvp(primals, tangents):
    # a derivative is used several times, and the compiler's own exponential is computed once
    return _exponential(primals[0]), jnp.exp(primals[0]) * tangents[0]


def _format(dtype: Any, integer: Any, digits: int, degree: int) -> _Format:
    limits, half, log_two = np.finfo(dtype), math.log(2) / 2, Decimal(2).ln()
    high = round(log_two * 2**digits) / 2**digits
    series = np.polynomial.Polynomial([1 / math.factorial(k + 2) for k in range(20)])
    nearly_best = np.polynomial.Chebyshev.interpolate(series, degree, [-half, half])
    coefficients = tuple(map(float, nearly_best.convert(kind=np.polynomial.Polynomial).coef[::-1]))
    return _Format(integer, limits.nmant, limits.maxexp - 1, high, float(log_two - Decimal(high)), coefficients)


_FORMATS = {
    jnp.dtype("float32"): _format(np.float32, jnp.int32, 9, 4),
    jnp.dtype("float64"): _format(np.float64, jnp.int64, 32, 9),
}
