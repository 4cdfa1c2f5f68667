"""Three ways to compute phi_1(-A) g with A = Phi^T diag(s) Phi: by eigenvectors, by products of A, by products of Phi.

Each has three functions: `advance` gives the value, `change` its derivative along a direction (forward mode), and
`pull` the transpose of that (reverse mode). In the code `features` is Phi, `scale` is s, `drive` is g.

Vectors are rows, shape (outputs, features): as such a batch of them meets Phi in one matrix-matrix product, at the
speed of the machine. Operands of a change are (s_dot, g_dot), and Phi_dot where the change is dense.
"""

import jax
import jax.numpy as jnp

from .._types import Array
from .._where import where
from ._chebyshev import Expansion, Terms, apply, expansion, tangent, transposed
from ._eigen_step import eigen_advance, eigen_change, eigen_pull, gram, spectrum, trace_bound, weighted_product
from ._repeat import batch_max
from ._rows import map_rows

_GATHERED = 16  # terms
_SMALL = 2**22  # bytes
_LARGEST = 0.64  # of z phi_1(-z^2)


def _eigen_advance(features, scale, drive, *, tolerance):
    """The value by eigenvectors, which keep no term of an expansion for reverse mode."""
    value, gain = eigen_advance(spectrum(features, scale), drive)
    return Terms(value, jnp.zeros_like(value), jnp.zeros_like(value)), gain


def _matrix_advance(features, scale, drive, *, tolerance):
    """The value by the expansion, with products of the matrix A, formed once."""
    matrix, series = _matrix_series(features, scale, tolerance)
    return apply(lambda rows: rows @ matrix, drive, series), _gain(series)


def _features_advance(features, scale, drive, *, tolerance):
    """The value by the expansion, with two products of Phi for one of A, which is never formed."""
    series = expansion(trace_bound(features, scale), tolerance)
    return apply(lambda rows: (_seen(features, rows) * scale) @ features, drive, series), _gain(series)


def _gain(series: Expansion) -> Array:
    """How much rounding may be magnified; that of each product is independent of the others."""
    return _LARGEST * jnp.sqrt(series.terms * series.bound)


def _eigen_change(dense, features, scale, drive, term, step, operands, *, tolerance):
    return (eigen_change(spectrum(features, scale), features, scale, drive, operands),)


def _matrix_change(dense, features, scale, drive, term, step, operands, *, tolerance):
    matrix, series = _matrix_series(features, scale, tolerance)
    return _change_through_matrix(matrix, series, features, scale, drive, operands)


def _features_change(dense, features, scale, drive, term, step, operands, *, tolerance):
    """The change by products of Phi; through the matrix where Phi moves, since then all of it changes."""
    series = expansion(trace_bound(features, scale), tolerance)
    if dense:
        return _change_through_matrix(gram(features, scale), series, features, scale, drive, operands)
    scale_dot, drive_dot = operands

    def bilinear(rows, rows_dot):
        seen, seen_dot = jnp.split(_seen(features, jnp.concatenate([rows, rows_dot])), 2)
        both = jnp.concatenate([seen * scale, seen_dot * scale + seen * scale_dot]) @ features
        change, change_dot = jnp.split(both, 2)
        return change, change_dot

    return (tangent(bilinear, drive, drive_dot, series),)


def _eigen_pull(dense, features, scale, drive, term, step, cotangents, *, tolerance):
    return eigen_pull(dense, spectrum(features, scale), features, scale, drive, cotangents[0])


def _matrix_pull(dense, features, scale, drive, term, step, cotangents, *, tolerance):
    matrix, series = _matrix_series(features, scale, tolerance)
    bars = _matrix_transposed(matrix, term, step, drive, cotangents[0], series)
    return _pull_through_matrix(dense, features, scale, *bars)


def _features_pull(dense, features, scale, drive, term, step, cotangents, *, tolerance):
    """The transpose of `_features_change`."""
    series = expansion(trace_bound(features, scale), tolerance)
    if dense:
        bars = _matrix_transposed(gram(features, scale), term, step, drive, cotangents[0], series)
        return _pull_through_matrix(dense, features, scale, *bars)

    def pull(rows, bar):
        seen = _seen(features, jnp.concatenate([rows, bar]))
        change, change_bar = jnp.split((seen * scale) @ features, 2)
        left, right = jnp.split(seen, 2)
        return change, change_bar, left, right

    gather = lambda left, right: jnp.sum(left * right, axis=(0, 1))
    return transposed(pull, gather, term, step, drive, cotangents[0], series, block=1)


def _seen(features, rows):
    """The rows times Phi^T. As second factor XLA lays a copy of Phi out on CPUs, which pays where it is small."""
    if features.nbytes <= _SMALL:
        return rows @ jax.lax.optimization_barrier(features.T)
    return (features @ rows.T).T


def _matrix_series(features, scale, tolerance) -> tuple[Array, Expansion]:
    """A, and the series up to its Frobenius norm: no larger than the trace, and cheap once A is there."""
    matrix = gram(features, scale)
    norm = jnp.sqrt(jnp.sum(matrix**2))
    return matrix, expansion(batch_max(where(jnp.isfinite(norm), norm, 0)), tolerance)


def _gram_change(features, scale, operands):
    """How A changes with s, and with Phi where that moves."""
    scale_dot, _, *features_dot = operands
    change = weighted_product(features, scale_dot, features)
    for each in features_dot:
        half = weighted_product(each, scale, features)
        change = change + half + half.T
    return change


def _change_through_matrix(matrix, series, features, scale, drive, operands):
    """How the expansion changes with A and g, by products of A."""
    matrix_dot = _gram_change(features, scale, operands)

    def bilinear(rows, rows_dot):
        return rows @ matrix, rows_dot @ matrix + rows @ matrix_dot

    return (tangent(bilinear, drive, operands[1], series),)


def _matrix_transposed(matrix, term, step, drive, cotangent, series):
    """Cotangents of A and g from that of the value, by running the expansion backwards."""

    def pull(rows, bar):
        return rows @ matrix, bar @ matrix, rows, bar

    # one product of matrices for a block: a rank-one change of a matrix for each term would cost twice the term
    gather = lambda left, right: jnp.concatenate(left).T @ jnp.concatenate(right)
    return transposed(pull, gather, term, step, drive, cotangent, series, block=_GATHERED)


def _pull_through_matrix(dense, features, scale, matrix_bar, drive_bar):
    """Cotangents of s, g and, where it moves, Phi, from those of A and g."""
    both = matrix_bar + matrix_bar.T
    bars = map_rows(lambda rows: 0.5 * jnp.sum((rows @ both) * rows, axis=1), features), drive_bar
    return (*bars, scale[:, None] * (features @ both)) if dense else bars


ADVANCE = (_eigen_advance, _matrix_advance, _features_advance)
CHANGE = (_eigen_change, _matrix_change, _features_change)
PULL = (_eigen_pull, _matrix_pull, _features_pull)
