"""phi_1(-A) g by the eigenvectors of A = Phi^T diag(s) Phi, with its change, the transpose of that, and its rounding.

Rounding. Let e be one unit of rounding, R the trace of A, b = diag(s)^(1/2) r the weighted residual, so that
g = Phi^T diag(s) r. A direction with the eigenvalue x of A lowers its part of b by the factor exp(-x).

- Eigenvectors of A as a matrix: forming A moves x by about e R, whatever x is, so a part of b is wrong by e R. The
  directions that are learnt last, x of about 1, are lost once e R is of the order of 1.
- Singular values z of B = diag(s)^(1/2) Phi, x = z^2: they are moved by about e R^(1/2), so x by 2 z e R^(1/2); a part
  of b with x of about 1 is wrong by e R^(1/2).

So in float32 singular values are taken, by a triangular factor of B, once e R exceeds `_MOST_ROUNDING`. In float64
that is so late (R = 4e11) that they are not worth a longer compilation. Rounding of g, of about e R^(1/2) |b| in every
direction, moves b by at most e |b| gain, where

    gain = R^(1/2) max_k z_k phi_1(-z_k^2) <= 0.64 R^(1/2),

and where the matrix is used beyond that point, gain = R.

Directions of B below `_NULL` e R^(1/2) are rounding, and g has no part in them: none is taken, or the rounding of g
would grow in them for ever.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float
from .._where import where
from ._phi import divided_differences, phi1
from ._repeat import batch_max
from ._rows import fold_rows, map_rows, row_product, squared_norms, sum_rows

_MOST_ROUNDING = 1e-4  # of the weighted residual, before singular values are taken
_NULL = 8.0  # units of rounding of the largest singular value


class Spectrum(NamedTuple):
    """Eigenvalues of A with their eigenvectors as columns, and the one up to which they are taken for zero."""

    values: Float[Array, "features"]
    vectors: Float[Array, "features features"]
    null: Float[Array, ""]


def gram(features: Float[Array, "examples features"], scale: Float[Array, "examples"]) -> Array:
    """The matrix A = Phi^T diag(s) Phi; in a batch members come first, as every later product reads it."""
    return weighted_product(features, scale, features, after=scale[0])


def weighted_product(left: Array, scale: Array, right: Array, after: Array | None = None) -> Array:
    """left^T diag(s) right; `after` as in `sum_rows`."""
    product = lambda left, scale, right: row_product(scale[:, None] * left, right)
    return sum_rows(product, left, scale, right, after=after)


def trace_bound(features: Float[Array, "examples features"], scale: Float[Array, "examples"]) -> Float[Array, ""]:
    """A bound on the eigenvalues of every member of a batch; a member that is lost does not decide for the others."""
    trace = jnp.sum(scale * squared_norms(features))
    return batch_max(where(jnp.isfinite(trace), trace, 0))


def spectrum(features: Float[Array, "examples features"], scale: Float[Array, "examples"]) -> Spectrum:
    """By the matrix A where that is precise enough for every member of a batch, else in float32 by singular values."""
    if features.dtype.itemsize > 4:
        return _by_matrix(features, scale)
    lost = trace_bound(features, scale) * jnp.finfo(features.dtype).eps > _MOST_ROUNDING
    return jax.lax.cond(lost, _by_singular_values, _by_matrix, features, scale)


def _by_matrix(features, scale) -> Spectrum:
    values, vectors = jnp.linalg.eigh(gram(features, scale))
    # rounding makes those of a rank-deficient A slightly negative, which a long interval would blow up
    return Spectrum(jnp.maximum(values, 0), vectors, jnp.full((), -1, values.dtype))


def _by_singular_values(features, scale) -> Spectrum:
    size = features.shape[1]
    stack = lambda factor, features, scale: jnp.linalg.qr(
        jnp.concatenate([factor, jnp.sqrt(scale)[:, None] * features]), mode="r"
    )
    factor = fold_rows(stack, jnp.zeros((size, size), features.dtype), features, scale)
    _, values, vectors = jnp.linalg.svd(factor)
    return Spectrum(values**2, vectors.T, (_NULL * jnp.finfo(values.dtype).eps * values[0]) ** 2)


def eigen_advance(held: Spectrum, drive: Float[Array, "outputs features"]) -> tuple[Array, Array]:
    """phi_1(-A) g, and its gain of rounding."""
    value = (rotated(held, drive) * phi1(-held.values)) @ held.vectors.T
    seen = jnp.maximum(held.values, held.null)
    largest = jnp.max(held.values)
    gain = jnp.sqrt(largest) * jnp.max(jnp.sqrt(seen) * phi1(-seen))
    squared = (held.null < 0) & (largest * jnp.finfo(gain.dtype).eps > _MOST_ROUNDING)
    return value, where(squared, largest, gain)


def eigen_change(held: Spectrum, features, scale, drive, operands) -> Array:
    """The change with (s_dot, g_dot), or (s_dot, g_dot, Phi_dot).

    In the basis of eigenvectors, where it keeps slow directions: d f(A) = V (F o (V^T dA V)) V^T with F the divided
    differences of f. No eigenvector is differentiated, so repeated eigenvalues are fine.

    Source:
        Higham, Functions of Matrices (2008), sections 3.2 and 10.7.4.
    """
    scale_dot, drive_dot, *features_dot = operands
    vectors = held.vectors
    between = lambda left, scale, right: row_product(scale[:, None] * (left @ vectors), right @ vectors)
    change = sum_rows(between, features, scale_dot, features)
    for each in features_dot:
        half = sum_rows(between, each, scale, features)
        change = change + half + half.T
    change = divided_differences(held.values, jnp.ones((), change.dtype)) * change
    return (rotated(held, drive) @ change + (drive_dot @ vectors) * phi1(-held.values)) @ vectors.T


def eigen_pull(dense: bool, held: Spectrum, features, scale, drive, cotangent) -> tuple[Array, ...]:
    """The transpose of `eigen_change`: cotangents of s and g, and of Phi where the change is dense."""
    vectors, turned = held.vectors, cotangent @ held.vectors
    differences = divided_differences(held.values, jnp.ones((), scale.dtype))
    bar = differences * (rotated(held, drive).T @ turned)
    both = bar + bar.T
    seen = lambda rows: rows @ vectors
    bars = (
        map_rows(lambda rows: 0.5 * jnp.sum((seen(rows) @ both) * seen(rows), axis=1), features),
        (turned * phi1(-held.values)) @ vectors.T,
    )
    return (*bars, scale[:, None] * ((seen(features) @ both) @ vectors.T)) if dense else bars


def rotated(held: Spectrum, drive: Array) -> Array:
    """g in the basis of eigenvectors, without the directions that are rounding."""
    return where(held.values > held.null, drive @ held.vectors, 0)


@jax.custom_jvp
def phi1_eigen(
    features: Float[Array, "examples features"],
    scale: Float[Array, "examples"],
    drive: Float[Array, "features outputs"],
) -> tuple[Float[Array, "features outputs"], Float[Array, ""]]:
    """Compute phi_1(-A) g, A = Phi^T diag(s) Phi, by eigenvectors, and the gain of rounding, which has no derivative.

    Arguments:
        features: Phi, shape (examples, features).
        scale: s, shape (examples,).
        drive: g, shape (features, outputs).
    """
    value, gain = eigen_advance(spectrum(features, scale), drive.T)
    return value.T, gain


def _phi1_eigen_jvp(primals, tangents):
    features, scale, drive = primals
    features_dot, scale_dot, drive_dot = tangents
    held = spectrum(features, scale)
    none = lambda tangent: isinstance(tangent, jax.custom_derivatives.SymbolicZero)
    operands = [jnp.zeros_like(x) if none(t) else t for x, t in ((scale, scale_dot), (drive, drive_dot))]
    operands[1] = operands[1].T
    if not none(features_dot):
        operands.append(features_dot)
    value, gain = eigen_advance(held, drive.T)
    change = eigen_change(held, features, scale, drive.T, operands)
    return (value.T, gain), (change.T, jnp.zeros_like(gain))


phi1_eigen.defjvp(_phi1_eigen_jvp, symbolic_zeros=True)
