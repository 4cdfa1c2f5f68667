"""phi_1(-h M) g for one M = Phi^T diag(s) Phi and many h: decomposed once, as `_eigen_step` does for each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float
from ._eigen_step import Spectrum, eigen_advance, rotated, spectrum
from ._phi import divided_differences, integral_decay
from ._rows import row_product, sum_rows


class HeldSpectrum(NamedTuple):
    """A decomposed M.

    Arguments:
        spectrum: its eigenvalues and eigenvectors V, without derivative.
        inner: V^T M V, which carries the derivative.
    """

    spectrum: Spectrum
    inner: Float[Array, "features features"]


def held_spectrum(
    features: Float[Array, "examples features"], scale: Float[Array, "examples"], longest: Float[Array, ""]
) -> HeldSpectrum:
    """Decompose M = Phi^T diag(p w) Phi, precisely enough for durations up to `longest`.

    Arguments:
        features: Phi, shape (examples, features).
        scale: p w, shape (examples,).
        longest: duration, scalar.
    """
    found = spectrum(*jax.lax.stop_gradient((features, longest * scale)))
    found = Spectrum(found.values / longest, found.vectors, found.null / longest)
    seen = lambda rows, scale: row_product(scale[:, None] * (rows @ found.vectors), rows @ found.vectors)
    return HeldSpectrum(found, sum_rows(seen, features, scale))


def held_phi1(
    held: HeldSpectrum, drive: Float[Array, "features outputs"], duration: Float[Array, ""]
) -> tuple[Float[Array, "features outputs"], Float[Array, ""]]:
    """Compute h phi_1(-h M) g in O(features^2 outputs), and the gain of its rounding, which has no derivative.

    Arguments:
        held: the decomposition of M.
        drive: g, shape (features, outputs).
        duration: h, scalar.

    Raises:
        TypeError: when it is differentiated a second time.
    """
    value, gain = _step(held.spectrum, held.inner, drive.T, duration)
    return value.T, gain


@jax.custom_jvp
def _step(found, inner, drive, duration):
    timed = Spectrum(duration * found.values, found.vectors, duration * found.null)
    return eigen_advance(timed, duration * drive)


@_step.defjvp
def _step_jvp(primals, tangents):
    found, inner, drive, duration = primals
    _, inner_dot, drive_dot, duration_dot = tangents
    found = found._replace(values=_differentiated_once(found.values, inner))
    value, gain = _step(found, inner, drive, duration)
    # d f(M) = V (F o (V^T dM V)) V^T with F the divided differences of f(x) = h phi_1(-h x), and df/dh = e^(-hx)
    seen = rotated(found, drive)
    change = seen @ (divided_differences(found.values, duration) * inner_dot)
    change += (drive_dot @ found.vectors) * integral_decay(found.values, duration)
    change += duration_dot * jnp.exp(-duration * found.values) * seen
    return (value, gain), (change @ found.vectors.T, jnp.zeros_like(gain))


@jax.custom_jvp
def _differentiated_once(values, inner):
    return values


@_differentiated_once.defjvp
def _no_second_derivative(primals, tangents):
    raise TypeError(
        "second derivatives with respect to weights that never change are not carried through their eigenvectors: "
        'give OperatorFlow(method="chebyshev").'
    )
