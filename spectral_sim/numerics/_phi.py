"""The phi_1 function of numbers.

For x' = g - M x from x(0) = 0, x(h) = h phi_1(-h M) g with phi_1(z) = (exp(z) - 1) / z: one step is exact for constant
weights, whatever its length.
"""

import jax.numpy as jnp

from .._types import Array
from .._where import where

_SERIES_TERMS = {jnp.dtype("float32"): 10, jnp.dtype("float64"): 18}  # the last term is below one unit of rounding


def phi1(z: Array) -> Array:
    """Compute (exp(z) - 1) / z, which is 1 at z = 0, without cancellation.

    Arguments:
        z: real or complex, of any shape.
    """
    zero = z == 0
    return where(zero, 1.0, jnp.expm1(z) / where(zero, 1, z))


def integral_decay(rates: Array, duration: Array) -> Array:
    """Integrate a decay, f(x) = int_0^h exp(-x s) ds = h phi_1(-h x), without cancellation at small h x.

    Arguments:
        rates: x, any shape.
        duration: h.
    """
    return duration * phi1(-duration * rates)


def divided_differences(values: Array, duration: Array) -> Array:
    """f[x, y] = (f(x) - f(y)) / (x - y) of `integral_decay` for every pair, to rounding.

    For h x >= 1 (x the larger): f[x, y] = (h e^(-hy) phi_1(-h(x - y)) - f(y)) / x, no small difference in a
    denominator. Below: -h^2 sum_n (-1)^n / (n + 2)! sum_(i+j=n) (hx)^i (hy)^j.
    """
    large = jnp.maximum(values[:, None], values[None, :])
    small = jnp.minimum(values[:, None], values[None, :])
    far = duration * large >= 1
    quotient = duration * jnp.exp(-duration * small) * phi1(-duration * (large - small)) - integral_decay(
        small, duration
    )
    quotient = quotient / where(far, large, 1)
    a, b = where(far, 0, duration * large), where(far, 0, duration * small)
    coefficient, power, homogeneous = -0.5, jnp.ones_like(b), jnp.ones_like(a)
    series = coefficient * homogeneous
    for n in range(1, _SERIES_TERMS[jnp.dtype(values.dtype)]):  # unrolled: a fixed, short power series
        coefficient, power = -coefficient / (n + 2), power * b
        homogeneous = a * homogeneous + power
        series = series + coefficient * homogeneous
    return where(far, quotient, duration**2 * series)
