"""The phi_1 function and its action on a symmetric positive semidefinite matrix.

For x' = g - M x from x(0) = 0, x(h) = h phi_1(-h M) g with phi_1(z) = (exp(z) - 1) / z: one step is exact for constant
weights, whatever its length.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float

__all__ = ["Spectrum", "integral_decay", "phi1", "phi1_eigh", "phi1_spectrum", "spectrum"]

_SERIES_TERMS = {jnp.dtype("float32"): 10, jnp.dtype("float64"): 18}  # the last term is below one unit of rounding


def phi1(z: Array) -> Array:
    """(exp(z) - 1) / z, 1 at z = 0, without cancellation."""
    zero = z == 0
    return jnp.where(zero, 1.0, jnp.expm1(z) / jnp.where(zero, 1, z))


def integral_decay(rates: Array, duration: Array) -> Array:
    """f(x) = int_0^h exp(-x s) ds = h phi_1(-h x)."""
    return duration * phi1(-duration * rates)


@jax.custom_jvp
def phi1_eigh(
    matrix: Float[Array, "features features"], drive: Float[Array, "features outputs"], duration: Float[Array, ""]
) -> Float[Array, "features outputs"]:
    """h phi_1(-h M) g by one symmetric eigendecomposition, in O(features^3).

    Eigenvalues are clamped at zero: rounding makes those of a rank-deficient M slightly negative, which a long interval
    would blow up. The derivative never differentiates the eigendecomposition, so repeated eigenvalues are fine.

    Arguments:
        matrix: M, symmetric positive semidefinite, per unit of time.
        drive: g.
        duration: h, non-negative, in units of time.

    Source:
        Higham, Functions of Matrices (2008), sections 3.2 and 10.7.4.
    """
    values, vectors = _clamped_eigh(matrix)
    return vectors @ (integral_decay(values, duration)[:, None] * (vectors.T @ drive))


@phi1_eigh.defjvp
def _phi1_eigh_jvp(primals, tangents):
    matrix, drive, duration = primals
    matrix_dot, drive_dot, duration_dot = tangents
    values, vectors = _clamped_eigh(matrix)
    rotated = vectors.T @ drive
    inner_dot, rotated_dot = vectors.T @ matrix_dot @ vectors, vectors.T @ drive_dot
    change = _change(values, rotated, duration, inner_dot, rotated_dot, duration_dot)
    return vectors @ (integral_decay(values, duration)[:, None] * rotated), vectors @ change


class Spectrum(NamedTuple):
    """A symmetric positive semidefinite M, decomposed once for many durations.

    Arguments:
        values: eigenvalues, at least 0, without derivative.
        vectors: V, eigenvectors in columns, without derivative.
        inner: V^T M V, which carries the derivative of M.
    """

    values: Float[Array, "features"]
    vectors: Float[Array, "features features"]
    inner: Float[Array, "features features"]


def spectrum(matrix: Float[Array, "features features"]) -> Spectrum:
    """The decomposition of M for `phi1_spectrum`, in O(features^3)."""
    values, vectors = _clamped_eigh(jax.lax.stop_gradient(matrix))
    return Spectrum(values, vectors, vectors.T @ matrix @ vectors)


def phi1_spectrum(
    decomposed: Spectrum, drive: Float[Array, "features outputs"], duration: Float[Array, ""]
) -> Float[Array, "features outputs"]:
    """`phi1_eigh` of a matrix that is decomposed already, in O(features^2 outputs), first derivatives included.

    Raises:
        TypeError: when it is differentiated a second time.
    """
    rotated = _rotated_phi1(decomposed.values, decomposed.inner, decomposed.vectors.T @ drive, duration)
    return decomposed.vectors @ rotated


@jax.custom_jvp
def _rotated_phi1(values, inner, rotated, duration):
    return integral_decay(values, duration)[:, None] * rotated


@_rotated_phi1.defjvp
def _rotated_phi1_jvp(primals, tangents):
    values, inner, rotated, duration = primals
    _, inner_dot, rotated_dot, duration_dot = tangents
    values = _differentiated_once(values, inner)
    change = _change(values, rotated, duration, inner_dot, rotated_dot, duration_dot)
    return integral_decay(values, duration)[:, None] * rotated, change


@jax.custom_jvp
def _differentiated_once(values, inner):
    return values


@_differentiated_once.defjvp
def _no_second_derivative(primals, tangents):
    raise TypeError(
        "second derivatives with respect to weights that never change are not carried through their eigenvectors: "
        'give OperatorFlow(method="chebyshev").'
    )


def _change(values, rotated, duration, inner_dot, rotated_dot, duration_dot) -> Array:
    """Tangent of h phi_1(-h M) g in the eigenbasis V of M, from those of V^T M V, V^T g and h.

    d f(M) = V (F o (V^T dM V)) V^T with F the divided differences of f, and d/dh int_0^h e^(-xs) ds = e^(-xh).
    """
    change = (_divided_differences(values, duration) * inner_dot) @ rotated
    change += integral_decay(values, duration)[:, None] * rotated_dot
    return change + duration_dot * jnp.exp(-duration * values)[:, None] * rotated


def _clamped_eigh(matrix: Array) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eigh(matrix)
    return jnp.maximum(values, 0), vectors


def _divided_differences(values: Array, duration: Array) -> Array:
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
    quotient = quotient / jnp.where(far, large, 1)
    a, b = jnp.where(far, 0, duration * large), jnp.where(far, 0, duration * small)
    coefficient, power, homogeneous = -0.5, jnp.ones_like(b), jnp.ones_like(a)
    series = coefficient * homogeneous
    for n in range(1, _SERIES_TERMS[jnp.dtype(values.dtype)]):  # unrolled: a fixed, short power series
        coefficient, power = -coefficient / (n + 2), power * b
        homogeneous = a * homogeneous + power
        series = series + coefficient * homogeneous
    return jnp.where(far, quotient, duration**2 * series)
